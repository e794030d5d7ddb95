-- Spread the tables of migrations/postgresql over the workers of a Citus cluster.
-- Run it once on the coordinator, after `structlog-activity migrate`, with psql or
-- any other client. What is in the tables already is moved.

-- All that one tenant has lies on one worker: its rows, their indexes, its counts.
-- So its pages and statistics are read from there, and its counts are kept there.
SELECT create_distributed_table('user_activity', 'tenant_id');
SELECT create_distributed_table(
    'user_activity_daily', 'tenant_id', colocate_with => 'user_activity');
SELECT create_distributed_table(
    'user_activity_monthly', 'tenant_id', colocate_with => 'user_activity');

-- The ledger belongs to writers, not to tenants, and stays on the coordinator: its
-- order is that of the coordinator's transactions. Citus has to know it all the
-- same, so that a batch is committed on both sides or on none.
SELECT citus_add_local_table_to_metadata('user_activity_batch');

-- Every node knows which migrations ran, so that reads may use any, and what was
-- exported of the chains' heads.
SELECT create_reference_table('user_activity_migration');
SELECT create_reference_table('user_activity_checkpoint');
