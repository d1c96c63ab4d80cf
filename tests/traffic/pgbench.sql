---- simple
drop table if exists pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers
---- simple
create table pgbench_history(tid int,bid int,aid    int,delta int,mtime timestamp,filler char(22))
---- simple
create table pgbench_tellers(tid int not null,bid int,tbalance int,filler char(84)) with (fillfactor=100)
---- simple
create table pgbench_accounts(aid    int not null,bid int,abalance int,filler char(84)) with (fillfactor=100)
---- simple
create table pgbench_branches(bid int not null,bbalance int,filler char(88)) with (fillfactor=100)
---- simple
begin
---- simple
truncate table pgbench_accounts, pgbench_branches, pgbench_history, pgbench_tellers
---- simple
insert into pgbench_branches(bid,bbalance) values(1,0)
---- simple
insert into pgbench_tellers(tid,bid,tbalance) values (1,1,0)
---- simple
insert into pgbench_tellers(tid,bid,tbalance) values (2,1,0)
---- simple
insert into pgbench_tellers(tid,bid,tbalance) values (3,1,0)
---- simple
insert into pgbench_tellers(tid,bid,tbalance) values (4,1,0)
---- simple
insert into pgbench_tellers(tid,bid,tbalance) values (5,1,0)
---- simple
insert into pgbench_tellers(tid,bid,tbalance) values (6,1,0)
---- simple
insert into pgbench_tellers(tid,bid,tbalance) values (7,1,0)
---- simple
insert into pgbench_tellers(tid,bid,tbalance) values (8,1,0)
---- simple
insert into pgbench_tellers(tid,bid,tbalance) values (9,1,0)
---- simple
insert into pgbench_tellers(tid,bid,tbalance) values (10,1,0)
---- simple
copy pgbench_accounts from stdin with (freeze on)
---- simple
commit
---- simple
vacuum analyze pgbench_branches
---- simple
vacuum analyze pgbench_tellers
---- simple
vacuum analyze pgbench_accounts
---- simple
vacuum analyze pgbench_history
---- simple
alter table pgbench_branches add primary key (bid)
---- simple
alter table pgbench_tellers add primary key (tid)
---- simple
alter table pgbench_accounts add primary key (aid)
---- simple
create table pgbench_accounts(aid    int not null,bid int,abalance int,filler char(84)) partition by range (aid)
---- simple
create table pgbench_accounts_1
  partition of pgbench_accounts
  for values from (minvalue) to (50001) with (fillfactor=100)
---- simple
create table pgbench_accounts_2
  partition of pgbench_accounts
  for values from (50001) to (maxvalue) with (fillfactor=100)
---- simple
insert into pgbench_branches(bid,bbalance) select bid, 0 from generate_series(1, 1) as bid
---- simple
insert into pgbench_tellers(tid,bid,tbalance) select tid, (tid - 1) / 10 + 1, 0 from generate_series(1, 10) as tid
---- simple
insert into pgbench_accounts(aid,bid,abalance,filler) select aid, (aid - 1) / 100000 + 1, 0, '' from generate_series(1, 100000) as aid
---- simple
alter table pgbench_tellers add constraint pgbench_tellers_bid_fkey foreign key (bid) references pgbench_branches
---- simple
alter table pgbench_accounts add constraint pgbench_accounts_bid_fkey foreign key (bid) references pgbench_branches
---- simple
alter table pgbench_history add constraint pgbench_history_bid_fkey foreign key (bid) references pgbench_branches
---- simple
alter table pgbench_history add constraint pgbench_history_tid_fkey foreign key (tid) references pgbench_tellers
---- simple
alter table pgbench_history add constraint pgbench_history_aid_fkey foreign key (aid) references pgbench_accounts
---- simple
select count(*) from pgbench_branches
---- simple
select o.n, p.partstrat, pg_catalog.count(i.inhparent) from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on (n.oid = c.relnamespace) cross join lateral (select pg_catalog.array_position(pg_catalog.current_schemas(true), n.nspname)) as o(n) left join pg_catalog.pg_partitioned_table as p on (p.partrelid = c.oid) left join pg_catalog.pg_inherits as i on (c.oid = i.inhparent) where c.relname = 'pgbench_accounts' and o.n is not null group by 1, 2 order by 1 asc limit 1
---- simple
BEGIN;
---- simple
UPDATE pgbench_accounts SET abalance = abalance + -2406 WHERE aid = 76758;
---- simple
SELECT abalance FROM pgbench_accounts WHERE aid = 76758;
---- simple
UPDATE pgbench_tellers SET tbalance = tbalance + -2406 WHERE tid = 1;
---- simple
UPDATE pgbench_branches SET bbalance = bbalance + -2406 WHERE bid = 1;
---- simple
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, 76758, -2406, CURRENT_TIMESTAMP);
---- simple
END;
---- simple
UPDATE pgbench_accounts SET abalance = abalance + -1463 WHERE aid = 74957;
---- simple
SELECT abalance FROM pgbench_accounts WHERE aid = 74957;
---- simple
UPDATE pgbench_tellers SET tbalance = tbalance + -1463 WHERE tid = 7;
---- simple
UPDATE pgbench_branches SET bbalance = bbalance + -1463 WHERE bid = 1;
---- simple
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (7, 1, 74957, -1463, CURRENT_TIMESTAMP);
---- extended
BEGIN;
---- extended
UPDATE pgbench_accounts SET abalance = abalance + $1 WHERE aid = $2;
---- extended
SELECT abalance FROM pgbench_accounts WHERE aid = $1;
---- extended
UPDATE pgbench_tellers SET tbalance = tbalance + $1 WHERE tid = $2;
---- extended
UPDATE pgbench_branches SET bbalance = bbalance + $1 WHERE bid = $2;
---- extended
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES ($1, $2, $3, $4, CURRENT_TIMESTAMP);
---- extended
END;
---- simple
UPDATE pgbench_accounts SET abalance = abalance + 3660 WHERE aid = 17412;
---- simple
SELECT abalance FROM pgbench_accounts WHERE aid = 17412;
---- simple
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (4, 1, 17412, 3660, CURRENT_TIMESTAMP);
---- simple
UPDATE pgbench_accounts SET abalance = abalance + -3664 WHERE aid = 15164;
---- simple
SELECT abalance FROM pgbench_accounts WHERE aid = 15164;
---- simple
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (5, 1, 15164, -3664, CURRENT_TIMESTAMP);
---- simple
SELECT abalance FROM pgbench_accounts WHERE aid = 88949;
---- simple
SELECT abalance FROM pgbench_accounts WHERE aid = 4223;
