-- The tables of a `PostgresStore`, for PostgreSQL 13 and later. Running this on a database that has
-- them takes no lock on them and changes nothing; several processes may run it at once.
DO $migration$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('bartizan_events', 0));
    IF to_regclass('bartizan_events_log') IS NOT NULL THEN
        RETURN;
    END IF;

    -- A place in the log is (tx, id): the number of the transaction that wrote the event, which the
    -- default gives, and a number within it. Never write either.
    CREATE TABLE bartizan_events (
        tx bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
        id bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
        at timestamptz NOT NULL DEFAULT statement_timestamp(),
        type text NOT NULL
            CHECK (octet_length(type) BETWEEN 1 AND 128)
            CHECK (type !~ '[\u0001-\u001f\u007f-\u009f,]')
            CHECK (type NOT IN ('reset', 'caught-up', 'superseded')),
        for_user text,
        topic text,
        data text NOT NULL,
        PRIMARY KEY (tx, id)
    );
    -- What somebody may see, in the order of the log: each index is one way to ask.
    CREATE INDEX bartizan_events_by_user ON bartizan_events (for_user, tx, id)
        WHERE for_user IS NOT NULL;
    CREATE INDEX bartizan_events_public ON bartizan_events (tx, id)
        WHERE for_user IS NULL;
    CREATE INDEX bartizan_events_by_type ON bartizan_events (type, tx, id)
        WHERE for_user IS NULL;
    CREATE INDEX bartizan_events_by_topic ON bartizan_events (topic, tx, id)
        WHERE for_user IS NULL AND topic IS NOT NULL;

    -- One row: which log this is, and the newest place that was forgotten.
    CREATE TABLE bartizan_events_log (
        one boolean PRIMARY KEY DEFAULT true CHECK (one),
        version int NOT NULL DEFAULT 1,
        epoch bigint NOT NULL DEFAULT 0,
        origin text,
        floor_tx bigint NOT NULL DEFAULT 0,
        floor_id bigint NOT NULL DEFAULT 0
    );

    -- Where the log lives: the cluster, its timeline, the table. A dump that was restored has another
    -- table, a backup or a promoted standby another timeline. Fails on a standby, which may lag.
    CREATE FUNCTION bartizan_events_origin() RETURNS text
    LANGUAGE sql STABLE SET search_path FROM CURRENT AS $body$
        SELECT concat_ws('/',
            (SELECT system_identifier FROM pg_control_system()),
            left(pg_walfile_name(pg_current_wal_lsn()), 8),
            to_regclass('bartizan_events')::oid)
    $body$;

    -- Starts a new epoch: clients are told that the log is not the one they have read.
    CREATE FUNCTION bartizan_events_new_epoch() RETURNS void
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
    BEGIN
        UPDATE bartizan_events_log SET
            epoch = ('x' || right(replace(gen_random_uuid()::text, '-', ''), 16))::bit(64)::bigint,
            origin = bartizan_events_origin(), floor_tx = 0, floor_id = 0;
        -- Numbers of another cluster may lie in the future of this one.
        UPDATE bartizan_events SET tx = pg_current_xact_id()::text::bigint
            WHERE tx >= pg_current_xact_id()::text::bigint;
    END
    $body$;

    -- Whoever deletes raises the floor, so that readers below it are told.
    CREATE FUNCTION bartizan_events_deleted() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
    DECLARE
        last record;
    BEGIN
        SELECT tx, id INTO last FROM gone ORDER BY tx DESC, id DESC LIMIT 1;
        IF last.tx >= pg_snapshot_xmin(pg_current_snapshot())::text::bigint THEN
            RAISE EXCEPTION 'an event cannot be deleted while a transaction runs that is older than it';
        END IF;
        UPDATE bartizan_events_log SET floor_tx = last.tx, floor_id = last.id
            WHERE (floor_tx, floor_id) < (last.tx, last.id);
        RETURN NULL;
    END
    $body$;
    CREATE TRIGGER bartizan_events_deleted AFTER DELETE ON bartizan_events
        REFERENCING OLD TABLE AS gone
        FOR EACH STATEMENT EXECUTE FUNCTION bartizan_events_deleted();

    CREATE FUNCTION bartizan_events_emptied() RETURNS trigger
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $body$
    BEGIN
        PERFORM bartizan_events_new_epoch();
        RETURN NULL;
    END
    $body$;
    CREATE TRIGGER bartizan_events_emptied AFTER TRUNCATE ON bartizan_events
        FOR EACH STATEMENT EXECUTE FUNCTION bartizan_events_emptied();

    INSERT INTO bartizan_events_log DEFAULT VALUES;
    PERFORM bartizan_events_new_epoch();
END
$migration$;
