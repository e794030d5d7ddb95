DROP VIEW activity_daily_v1;
DROP VIEW activity_feed_v1;
DROP TABLE user_activity_checkpoint;
DROP TABLE user_activity_monthly;
DROP TABLE user_activity_daily;
DROP TABLE user_activity_batch;
DROP TABLE user_activity;
