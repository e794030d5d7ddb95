-- Readers of one tenant on a Citus cluster, instead of the views of roles.sql: there
-- the machines ask for the reader's own privileges, not for those of a view's owner.
-- Run it on the coordinator, once, after roles.sql and distribute.sql, with psql or
-- statement by statement: Citus takes no more than one policy at a time.
--
-- A reader says which tenant, in the transaction that reads, by literals:
--   SET LOCAL citus.propagate_set_commands = 'local';
--   SET LOCAL activity.tenant_id = '<tenant>';
-- Without that, and with set_config(), which no machine hears of, it finds nothing.
--
-- COPY is refused on such tables, so roles that write have to be let through:
--   ALTER ROLE app BYPASSRLS;

GRANT SELECT ON user_activity TO activity_reader;
GRANT SELECT ON user_activity_daily TO activity_reader;
GRANT SELECT ON user_activity_monthly TO activity_reader;

ALTER TABLE user_activity ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_activity_daily ENABLE ROW LEVEL SECURITY;
ALTER TABLE user_activity_monthly ENABLE ROW LEVEL SECURITY;

CREATE POLICY activity_own ON user_activity FOR SELECT TO activity_reader
    USING (tenant_id = nullif(current_setting('activity.tenant_id', true), '')::uuid);
CREATE POLICY activity_own ON user_activity_daily FOR SELECT TO activity_reader
    USING (tenant_id = nullif(current_setting('activity.tenant_id', true), '')::uuid);
CREATE POLICY activity_own ON user_activity_monthly FOR SELECT TO activity_reader
    USING (tenant_id = nullif(current_setting('activity.tenant_id', true), '')::uuid);

CREATE POLICY activity_all ON user_activity FOR SELECT TO activity_auditor USING (true);
CREATE POLICY activity_all ON user_activity_daily FOR SELECT TO activity_auditor USING (true);
CREATE POLICY activity_all ON user_activity_monthly FOR SELECT TO activity_auditor USING (true);
