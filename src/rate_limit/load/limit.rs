//! One entry of `limits`: a policy, as a file says it.

use super::by::{Known, Part};
use super::values::{quota, route};
use crate::config::ConfigError;
use crate::load::Field;
use crate::rate_limit::key::Key;
use crate::rate_limit::policy::Policy;
use crate::rate_limit::quota::Quota;
use crate::rate_limit::route::Route;
use crate::rate_limit::rules;

/// A policy that is valid by itself, with names for what the program has to give.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    /// `limits[2]`
    path: String,
    windows: Vec<(String, Quota)>,
    routes: Vec<Route>,
    by: Vec<Part>,
    cost: Option<u64>,
    unit: Option<String>,
    shadow: bool,
}

impl Limit {
    /// Reads an entry. `taken` are the names of the windows before it; its own are added.
    pub(super) fn read(field: &Field<'_>, taken: &mut Vec<String>) -> Result<Self, ConfigError> {
        let table = field.table(&[
            "name", "quota", "windows", "on", "by", "cost", "unit", "mode",
        ])?;
        let name = table.need("name", "give it a name, e.g. `name = \"api\"`")?;
        let first = table.need("quota", "e.g. `quota = { count = 50, per = \"second\" }`")?;
        let mut windows = vec![(window_name(&name, taken)?, quota(&first)?)];
        if let Some(further) = table.get("windows") {
            for window in further.list()? {
                let window = window.table(&["name", "quota"])?;
                let name = window.need("name", "give the window a name of its own")?;
                let field = window.need("quota", "say how much")?;
                windows.push((window_name(&name, taken)?, quota(&field)?));
            }
        }

        let policy = &windows[0].0;
        let mut routes = Vec::new();
        let mut compiled = Vec::new();
        if let Some(on) = table.get("on") {
            for field in on.one_or_more()? {
                let route = route(&field, policy)?;
                compiled.push((route.clone().compile(policy)).map_err(|e| field.told(&e))?);
                routes.push(route);
            }
        }

        let fix =
            "say what it counts by, e.g. `by = \"client_ip\"`, or \"constant\" for one bucket";
        let mut by = Vec::new();
        for field in table.need("by", fix)?.one_or_more()? {
            let part = Part::read(&field)?;
            if let Ok(key) = part.key(None) {
                key.validate(policy, &compiled)
                    .map_err(|error| field.told(&error))?;
            }
            by.push(part);
        }

        let cost = match table.get("cost") {
            None => None,
            Some(field) => {
                let cells = field.number()?;
                for (window, quota) in &windows {
                    rules::affordable(policy, window, *quota, cells).map_err(|e| field.told(&e))?;
                }
                Some(cells)
            }
        };
        let unit = match table.get("unit") {
            None => None,
            Some(field) => {
                let unit = field.text()?;
                rules::fit_for_fields("quota unit", unit).map_err(|error| field.told(&error))?;
                Some(unit.to_owned())
            }
        };
        let modes = [("enforce", false), ("shadow", true)];
        let shadow = table.get("mode").map(|field| field.one_of(&modes));
        Ok(Self {
            shadow: shadow.transpose()?.unwrap_or_default(),
            path: field.path().to_owned(),
            windows,
            routes,
            by,
            cost,
            unit,
        })
    }

    /// The policy, with what the program has given.
    pub(super) fn policy(&self, known: &Known) -> Result<Policy, ConfigError> {
        let ((name, quota), further) = (&self.windows[0], &self.windows[1..]);
        let mut policy = Policy::new(name.clone(), *quota).by(self.key(known)?);
        for (name, quota) in further {
            policy = policy.and(name.clone(), *quota);
        }
        for route in &self.routes {
            policy = policy.on(route.clone());
        }
        if let Some(cells) = self.cost {
            policy = policy.cost(cells);
        }
        if let Some(unit) = &self.unit {
            policy = policy.unit(unit.clone());
        }
        Ok(match self.shadow {
            true => policy.shadow(),
            false => policy,
        })
    }

    fn key(&self, known: &Known) -> Result<Key, ConfigError> {
        let key = |part: &Part| {
            let told = |(value, fix)| ConfigError::new(format!("{}.by", self.path), value, fix);
            part.key(Some(known)).map_err(told)
        };
        match &*self.by {
            [only] => key(only),
            parts => {
                let parts: Vec<_> = parts.iter().map(key).collect::<Result<_, _>>()?;
                Ok(Key::of_all(parts))
            }
        }
    }

    /// The windows and their quotas.
    pub(super) fn windows(&self) -> impl Iterator<Item = (&str, Quota)> {
        self.windows
            .iter()
            .map(|(name, quota)| (name.as_str(), *quota))
    }

    /// Whether `next` is the same limit, but for how much it lets pass.
    ///
    /// # Errors
    ///
    /// The first field in which it is another.
    pub(super) fn differs_in_quotas_alone(&self, next: &Self) -> Result<(), ConfigError> {
        let names = |limit: &Self| {
            let names: Vec<_> = limit.windows().map(|(name, _)| name.to_owned()).collect();
            names.join(", ")
        };
        let modes = ["enforce", "shadow"];
        let different = [
            (
                "name",
                self.windows[0].0 != next.windows[0].0,
                next.windows[0].0.clone(),
            ),
            ("windows", names(self) != names(next), names(next)),
            ("on", self.routes != next.routes, "other routes".into()),
            ("by", self.by != next.by, "another key".into()),
            (
                "cost",
                self.cost != next.cost,
                next.cost.unwrap_or(1).to_string(),
            ),
            (
                "unit",
                self.unit != next.unit,
                next.unit.clone().unwrap_or_default(),
            ),
            (
                "mode",
                self.shadow != next.shadow,
                modes[usize::from(next.shadow)].into(),
            ),
        ];
        match different.into_iter().find(|(_, differs, _)| *differs) {
            None => Ok(()),
            Some((field, _, value)) => {
                let fix = "a running layer takes new quotas alone: build a layer for this";
                Err(ConfigError::new(
                    format!("{}.{field}", self.path),
                    value,
                    fix,
                ))
            }
        }
    }
}

fn window_name(field: &Field<'_>, taken: &mut Vec<String>) -> Result<String, ConfigError> {
    let name = field.text()?;
    let known = taken.iter().map(String::as_str);
    rules::name(name, known).map_err(|error| field.told(&error))?;
    taken.push(name.to_owned());
    Ok(name.to_owned())
}
