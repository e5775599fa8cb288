//! The statements, made for a table and a selector. Pure.
//!
//! Every read is one statement, so that the epoch, the floor, the watermark and the events are of
//! one snapshot. A selector is split into *legs*, each of which follows one index in the order of
//! the log and stops at the limit: one for each user, and for public events one for each topic, or
//! for each type, or one.

use crate::event_stream::selector::Selector;

/// The statements of one table.
#[derive(Clone, Debug)]
pub(super) struct Statements {
    table: String,
}

/// From which end of the log to read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Order {
    OldestFirst,
    NewestFirst,
}

impl Statements {
    /// `table` is a plain lower-case name: it is part of the text.
    pub(super) fn new(table: &str) -> Self {
        let table = table.to_owned();
        Self { table }
    }

    /// The name of the table, which is also the channel of notifications.
    pub(super) fn table(&self) -> &str {
        &self.table
    }

    /// What makes the tables, where they are missing.
    pub(super) fn migration(&self) -> String {
        SCHEMA.replace(DEFAULT_TABLE, &self.table)
    }

    /// Type, data, user, topic. Answers the place and the epoch.
    pub(super) fn append(&self, notify: bool) -> String {
        let table = &self.table;
        let insert = format!(
            "INSERT INTO {table} (type, data, for_user, topic) VALUES ($1, $2, $3, $4) \
             RETURNING tx, id"
        );
        let notified = match notify {
            true => format!(", pg_notify('{table}', '')"),
            false => String::new(),
        };
        format!("WITH new AS ({insert}) SELECT tx, id, epoch{notified} FROM new, {table}_log")
    }

    /// What the log is, and at most `$3` of its events that are stable, match, and stand after the
    /// place `$1, $2`. `$4`, `$5` and `$6` are the selector's types, topics and users, `$7, $8` a
    /// place to look for.
    pub(super) fn read(&self, selector: &Selector, order: Order) -> String {
        let table = &self.table;
        let direction = order.direction();
        let legs = self.legs(selector, order).join(" UNION ALL ");
        format!(
            "WITH log AS MATERIALIZED (
                SELECT epoch, floor_tx, floor_id, {table}_origin() = origin AS unmoved,
                    pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon
                FROM {table}_log
            ), head AS MATERIALIZED (
                SELECT tx, id FROM {table} WHERE tx < (SELECT horizon FROM log)
                ORDER BY tx DESC, id DESC LIMIT 1
            )
            SELECT log.epoch, log.unmoved, log.floor_tx, log.floor_id,
                head.tx AS head_tx, head.id AS head_id,
                EXISTS (SELECT FROM {table} WHERE tx = $1 AND id = $2) AS cursor_stands,
                EXISTS (SELECT FROM {table} WHERE tx = $7 AND id = $8) AS newest_stands,
                CASE WHEN (SELECT max(tx) FROM {table}) >= log.horizon THEN log.horizon END AS held_by,
                found.tx, found.id, found.type, found.for_user, found.topic, found.data
            FROM log LEFT JOIN head ON true LEFT JOIN (
                SELECT * FROM ({legs}) AS legs ORDER BY tx {direction}, id {direction} LIMIT $3
            ) AS found ON true
            ORDER BY found.tx {direction}, found.id {direction}"
        )
    }

    /// The newest place of those that are to be forgotten: all but the newest `$1`, and what is
    /// older than `$2` seconds. Places, not times, decide what goes first.
    pub(super) fn expired(&self) -> String {
        let (table, last) = (&self.table, i64::MAX);
        format!(
            "WITH over AS (
                SELECT tx, id FROM {table} ORDER BY tx DESC, id DESC OFFSET $1 LIMIT 1
            ), kept AS (
                SELECT tx, id FROM {table} WHERE at >= now() - $2 * interval '1 second'
                ORDER BY tx, id LIMIT 1
            ), old AS (
                SELECT tx, id FROM {table}
                WHERE (tx, id) < (
                    coalesce((SELECT tx FROM kept), {last}), coalesce((SELECT id FROM kept), {last})
                )
                ORDER BY tx DESC, id DESC LIMIT 1
            )
            SELECT tx, id FROM (TABLE over UNION ALL TABLE old) AS found
            ORDER BY tx DESC, id DESC LIMIT 1"
        )
    }

    /// Deletes at most `$3` of the oldest events, up to and including the place `$1, $2`, as far as
    /// they are stable.
    pub(super) fn delete(&self) -> String {
        let table = &self.table;
        format!(
            "DELETE FROM {table} WHERE (tx, id) IN (
                SELECT tx, id FROM {table}
                WHERE (tx, id) <= ($1, $2)
                    AND tx < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
                ORDER BY tx, id LIMIT $3
            )"
        )
    }

    /// Starts a new epoch, unless somebody else has ended the epoch `$1`.
    pub(super) fn renew(&self) -> String {
        let table = &self.table;
        // The row is locked first: who waited for it finds another epoch.
        format!(
            "WITH held AS MATERIALIZED (SELECT FROM {table}_log WHERE epoch = $1 FOR UPDATE)
             SELECT {table}_new_epoch() FROM held"
        )
    }

    fn legs(&self, selector: &Selector, order: Order) -> Vec<String> {
        let public = selector.includes_public();
        let (types, topics) = (selector.types().is_some(), selector.topics().is_some());
        let and_types = if types { " AND type = ANY($4)" } else { "" };
        let and_topics = if topics { " AND topic = ANY($5)" } else { "" };
        let Some(users) = selector.users() else {
            let audience = if public {
                ""
            } else {
                "for_user IS NOT NULL AND "
            };
            return vec![self.leg(&format!("{audience}{AFTER}{and_types}{and_topics}"), order)];
        };
        let mut legs = Vec::new();
        if !users.is_empty() {
            let filter = format!("for_user = name AND {AFTER}{and_types}{and_topics}");
            legs.push(for_each("$6", &self.leg(&filter, order)));
        }
        if public {
            let filter = format!("for_user IS NULL AND {AFTER}");
            legs.push(match (topics, types) {
                (true, _) => {
                    let filter = format!("{filter} AND topic = name{and_types}");
                    for_each("$5", &self.leg(&filter, order))
                }
                (false, true) => {
                    let filter = format!("{filter} AND type = name");
                    for_each("$4", &self.leg(&filter, order))
                }
                (false, false) => self.leg(&filter, order),
            });
        }
        if legs.is_empty() {
            legs.push(self.leg("false", order));
        }
        legs
    }

    fn leg(&self, filter: &str, order: Order) -> String {
        let (table, direction) = (&self.table, order.direction());
        format!(
            "(SELECT tx, id, type, for_user, topic, data FROM {table} WHERE {filter}
             ORDER BY tx {direction}, id {direction} LIMIT $3)"
        )
    }
}

impl Order {
    const fn direction(self) -> &'static str {
        match self {
            Self::OldestFirst => "ASC",
            Self::NewestFirst => "DESC",
        }
    }
}

/// One leg for each of a list of names.
fn for_each(names: &str, leg: &str) -> String {
    format!("(SELECT one.* FROM unnest({names}::text[]) AS name CROSS JOIN LATERAL {leg} AS one)")
}

pub(super) const DEFAULT_TABLE: &str = "bartizan_events";

const SCHEMA: &str = include_str!("schema.sql");

/// Stable, and after the cursor. What every transaction before the oldest that still runs has
/// written is there for good: nothing can be committed among it any more.
const AFTER: &str = "(tx, id) > ($1, $2) AND tx < (SELECT horizon FROM log)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_migration_names_no_table_but_the_one_it_is_for() {
        let text = Statements::new("orders").migration();
        assert!(!text.contains("bartizan"));
        assert!(
            text.contains("CREATE TABLE orders (") && text.contains("CREATE TABLE orders_log (")
        );
    }

    #[test]
    fn every_selector_reads_below_the_watermark() {
        let statements = Statements::new("e");
        let (all, public) = (Selector::everything(), Selector::public());
        for (selector, legs) in [
            (all.clone(), 1),
            (all.clone().only_types(["a"]), 1),
            (public.clone(), 1),
            (public.clone().only_topics(["t"]).only_types(["a"]), 1),
            (public.clone().only_users(["u"]), 2),
            (public.only_users(["u"]).only_types(["a"]), 2),
        ] {
            let text = statements.read(&selector, Order::OldestFirst);
            assert_eq!(text.matches(AFTER).count(), legs, "{selector:?}");
            assert_eq!(text.matches("LIMIT $3)").count(), legs, "{selector:?}");
        }
    }
}
