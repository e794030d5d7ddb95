-- The views that `migrate --roles` made of the tables.
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT DISTINCT v.oid::regclass::text
                FROM pg_depend d
                JOIN pg_rewrite r ON r.oid = d.objid AND d.classid = 'pg_rewrite'::regclass
                JOIN pg_class v ON v.oid = r.ev_class
                JOIN pg_namespace n ON n.oid = v.relnamespace AND n.nspname = 'activity_scoped'
                WHERE d.refobjid IN ('user_activity'::regclass, 'user_activity_daily'::regclass,
                                     'user_activity_monthly'::regclass)
    LOOP
        EXECUTE 'DROP VIEW ' || name;
    END LOOP;
END $$;
DROP VIEW activity_daily_v1;
DROP VIEW activity_feed_v1;
DROP TABLE user_activity_checkpoint;
DROP TABLE user_activity_monthly;
DROP TABLE user_activity_daily;
DROP TABLE user_activity_batch;
DROP TABLE user_activity;
