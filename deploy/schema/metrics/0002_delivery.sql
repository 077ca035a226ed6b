-- 0002_delivery.sql: what makes a record count once. Ingress numbers its records per lane without
-- gaps; a record at or below progress.low, or found in applied, is a repeat. low rises only over
-- records that these tables hold, so a restored database knows what it lacks.
create table progress (
    producer uuid     not null,
    lane     smallint not null,
    low      bigint   not null,
    constraint progress_pk primary key (producer, lane)
);

create table applied (
    producer uuid     not null,
    lane     smallint not null,
    seq      bigint   not null,
    constraint applied_pk primary key (producer, lane, seq)
);

-- Claim records for this transaction: the answer has true, in the same order, for those that are
-- new. Who meets a record that another transaction holds waits for its end. Repeats within one call
-- are claimed once. Wants READ COMMITTED: low is looked at after the insert, by a statement of its
-- own, because a transaction we waited for may have raised low and forgotten its row.
create function records_claim(p_producer uuid[], p_lane smallint[], p_seq bigint[]) returns boolean[]
language plpgsql as $$
declare
    mine boolean[];
begin
    with given as (
        select * from unnest(p_producer, p_lane, p_seq) with ordinality as g(producer, lane, seq, n)
    ), claimed as (
        insert into applied
        select distinct producer, lane, seq from given order by 1, 2, 3
        on conflict do nothing
        returning producer, lane, seq
    )
    select array_agg(c.seq is not null and first = n order by n) into mine
    from (select *, min(n) over (partition by producer, lane, seq) as first from given) g
    left join claimed c using (producer, lane, seq);

    return (select array_agg(mine[n] and coalesce(p.low < g.seq, true) order by n)
            from unnest(p_producer, p_lane, p_seq) with ordinality as g(producer, lane, seq, n)
            left join progress p using (producer, lane));
end
$$;

-- Raise low over the records held without a gap, and forget those at or below it. To be called last
-- in the transaction: it locks the producer's row.
create function progress_raise(p_producer uuid, p_lane smallint) returns void
language plpgsql as $$
declare
    was bigint;
    now_low bigint;
begin
    insert into progress values (p_producer, p_lane, 0) on conflict do nothing;
    select low into was from progress where producer = p_producer and lane = p_lane for update;
    select coalesce(max(seq), was) into now_low
    from (select seq, row_number() over (order by seq) as n from applied
          where producer = p_producer and lane = p_lane and seq > was) held
    where seq = was + n;
    if now_low > was then
        update progress set low = now_low where producer = p_producer and lane = p_lane;
    end if;
    delete from applied where producer = p_producer and lane = p_lane and seq <= now_low;
end
$$;

grant select, insert, update on progress to footfall_worker;
grant select, insert, delete on applied to footfall_worker;
grant select on progress, applied to footfall_query;
grant execute on function records_claim, progress_raise to footfall_worker;
