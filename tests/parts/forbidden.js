// What each role must not do: [database, statement]. Each is to be refused for want of a right.

export const FORBIDDEN = {
  ingress: [
    ['app', 'select email from account'], ['app', 'select * from login_session'], ['app', 'select * from setup_token'],
    ['app', 'select name from api_key'], ['app', "update site set domain = 'x'"], ['app', 'delete from day_key'],
    ['app', "insert into day_key values (current_date, '', now())"], ['app', "select account_create('a@b', 'x')"],
    ['app', 'create table t (a int)'], ['app', 'select day_key_destroy()'], ['app', "select site_remove('example.org')"], ['metrics', 'select 1'],
    ['app', 'delete from site_rule'], ['app', "select site_rule_add(1, 'ip', '::/0')"], ['app', "select site_set('example.org')"],
  ],
  worker: [
    ['app', 'select password_hash from account'], ['app', 'select email from account'], ['app', 'select * from api_key'],
    ['app', "update site set domain = 'x'"], ['app', 'delete from day_key'], ['app', "select day_key_for(current_date)"], ['app', 'select day_key_destroy()'],
    ['metrics', 'delete from event'], ['metrics', 'drop table event'], ['metrics', 'create table t (a int)'],
    ['metrics', 'update progress set low = 0; delete from progress'], ['metrics', 'select retention_drop(1)'], ['metrics', 'select removal_step(1, 1)'],
    ['metrics', "insert into forgotten values (0, now())"], ['app', "select site_remove('example.org')"], ['app', 'select domain from site_removed'],
    ['app', 'select * from site_rule'], ['app', "select site_rule_add(1, 'ip', '::/0')"],
    ['metrics', 'delete from dropped'], ['metrics', 'delete from dropped_sample'], ['metrics', 'update dropped_sample set host = null'],
  ],
  query: [
    ['app', 'select password_hash from account'], ['app', 'select * from setup_token'], ['app', 'select * from day_key'], ['app', 'select day_key_destroy()'],
    ['app', 'delete from login_session'], ['metrics', 'delete from event'], ['metrics', "insert into string values (1, 1, 'x')"],
    ['metrics', 'update progress set low = 0'], ['metrics', "select event_partition(now())"], ['metrics', 'create table t (a int)'],
    ['metrics', 'select retention_drop(1)'], ['metrics', 'select removal_step(1, 1)'], ['metrics', 'select strings_drop(1, 1)'],
    ['app', 'select * from site_rule'], ['app', 'select * from site_rule_of_worker'], ['app', 'delete from site_alias'], ['metrics', "select dropped_apply(1, '[]')"],
    ['metrics', 'delete from dropped'],
  ],
  console: [
    ['app', 'drop table account'], ['app', 'create table t (a int)'],
    // It has keys destroyed when they are due, by day_key_destroy() alone.
    ['app', 'select date from day_key'], ['app', 'delete from day_key'], ['app', 'truncate day_key'], ['app', 'drop table day_key'],
    ['app', 'update day_key set destroy_after = now()'], ['app', "insert into day_key values (current_date, '', now())"],
    ['app', 'select day_key_for(current_date)'],
    ['metrics', 'select * from event'], ['metrics', 'select * from string'], ['metrics', 'select * from dropped'], ['metrics', "select dropped_apply(1, '[]')"],
    ['metrics', 'delete from event'], ['metrics', "insert into retention values (1, 1)"], ['metrics', 'select event_partition(now())'], ['metrics', 'create table t (a int)'],
  ],
};
