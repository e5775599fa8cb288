-- The demo's tables in PostgreSQL, besides those of its event log. Several demos may run this at once.
DO $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('bartizan demo', 0));
    IF to_regclass('demo_transactions') IS NOT NULL THEN
        RETURN;
    END IF;

    -- `balance` is the user's balance after the row: what the ledger check holds against the amounts.
    CREATE TABLE demo_transactions (
        id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        username text NOT NULL,
        amount   float8 NOT NULL,
        memo     text,
        at       timestamptz NOT NULL DEFAULT clock_timestamp(),
        balance  float8 NOT NULL
    );
    CREATE INDEX demo_transactions_by_user ON demo_transactions (username, id);

    -- The key that signs sessions.
    CREATE TABLE demo_meta (key text PRIMARY KEY, value bytea NOT NULL);
    INSERT INTO demo_meta VALUES ('session key',
        sha256((gen_random_uuid()::text || gen_random_uuid()::text)::bytea));
END
$$;
