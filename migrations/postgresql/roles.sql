-- Three roles without login, to be granted to those that log in, for example
--   CREATE ROLE app LOGIN PASSWORD '...' IN ROLE activity_writer;
-- activity_writer   adds records, and can neither read, change nor remove one
-- activity_reader   reads the records of one tenant at a time, through views
-- activity_auditor  reads everything, and changes nothing
--
-- A reader says which tenant, in the transaction that reads:
--   SELECT set_config('activity.tenant_id', '<tenant>', true);
-- Without that the views are empty. They have the names of the tables and lie in
-- a schema of their own, which comes first in a reader's search_path:
--   ALTER ROLE dashboard SET search_path = activity_scoped, public;
-- Safe to be run again, and to be run after each migration.

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['activity_writer', 'activity_reader', 'activity_auditor'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', role);
        END IF;
    END LOOP;
END $$;

CREATE SCHEMA IF NOT EXISTS activity_scoped;
REVOKE ALL ON SCHEMA activity_scoped FROM PUBLIC;
GRANT USAGE ON SCHEMA activity_scoped TO activity_reader;

DO $$
DECLARE
    own text := (SELECT nspname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
                 WHERE pg_class.oid = 'user_activity'::regclass);
    name text;
    seen text;
BEGIN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO activity_writer, activity_reader, '
                   'activity_auditor', own);
    FOR name IN SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
                WHERE nspname = own AND relname LIKE 'user\_activity%' AND relkind IN ('r', 'p')
    LOOP
        EXECUTE format('REVOKE ALL ON %I.%I FROM PUBLIC, activity_writer, activity_reader, '
                       'activity_auditor', own, name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['user_activity', 'user_activity_daily', 'user_activity_monthly',
                                'user_activity_batch', 'user_activity_checkpoint',
                                'user_activity_migration']
    LOOP
        CONTINUE WHEN to_regclass(format('%I.%I', own, name)) IS NULL;
        EXECUTE format('GRANT SELECT ON %I.%I TO activity_auditor', own, name);
        -- A view with security_barrier: no condition of a reader's sees a row of
        -- another tenant. Row-level security instead would refuse COPY.
        IF EXISTS (SELECT FROM pg_attribute WHERE attrelid = format('%I.%I', own, name)::regclass
                   AND attname = 'tenant_id') THEN
            EXECUTE format(
                'CREATE OR REPLACE VIEW activity_scoped.%I WITH (security_barrier) AS '
                'SELECT * FROM %I.%I WHERE tenant_id = '
                'nullif(current_setting(''activity.tenant_id'', true), '''')::uuid',
                name, own, name);
            EXECUTE format('REVOKE ALL ON activity_scoped.%I FROM PUBLIC', name);
            EXECUTE format('GRANT SELECT ON activity_scoped.%I TO activity_reader', name);
        END IF;
    END LOOP;

    EXECUTE format('GRANT INSERT ON %I.user_activity, %I.user_activity_batch TO activity_writer',
                   own, own);
    -- The counts are added to, which needs the old ones; they name no record.
    EXECUTE format('GRANT INSERT, SELECT, UPDATE (n) ON %I.user_activity_daily '
                   'TO activity_writer', own);
    -- To look a batch up whose COMMIT got no answer, and to continue a chain.
    FOR seen IN SELECT attname FROM pg_attribute
                WHERE attrelid = format('%I.user_activity_batch', own)::regclass
                AND attname IN ('writer_id', 'seq', 'seal')
    LOOP
        EXECUTE format('GRANT SELECT (%I) ON %I.user_activity_batch TO activity_writer',
                       seen, own);
    END LOOP;
    EXECUTE format('GRANT SELECT ON %I.user_activity_migration TO activity_writer, '
                   'activity_reader', own);
END $$;
