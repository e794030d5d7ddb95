DROP TABLE user_activity_checkpoint;
DROP TABLE user_activity_monthly;
DROP TABLE user_activity_daily;
DROP TABLE user_activity_batch;
DROP TABLE user_activity;
