-- 0004_identity.sql: how a site knows its visitors can change, from its next local midnight on. What it was on
-- which date is kept: events may come late.
create table site_identity (
    site_id   integer not null references site on delete cascade,
    from_date date    not null,                      -- of the site's zone
    identity  text    not null check (identity in ('daily', 'persistent')),
    constraint site_identity_pk primary key (site_id, from_date)
);
insert into site_identity select id, date '1970-01-01', identity from site;

-- site.identity is what was chosen last.
create function identity_keep() returns trigger language plpgsql as $$
declare
    tomorrow date := (now() at time zone new.zone)::date + 1;
begin
    if tg_op = 'INSERT' then
        insert into site_identity values (new.id, date '1970-01-01', new.identity);
        return null;
    end if;
    delete from site_identity where site_id = new.id and from_date >= tomorrow;
    insert into site_identity
    select new.id, tomorrow, new.identity
    where new.identity <> (select identity from site_identity where site_id = new.id order by from_date desc limit 1);
    return null;
end
$$;
create trigger site_identity_kept after insert or update of identity on site
    for each row execute function identity_keep();
create trigger site_identity_changed after insert or update or delete on site_identity
    for each statement execute function snapshot_changed();

grant select, insert, delete on site_identity to footfall_console;
grant select on site_identity to footfall_ingress;

-- Change a site, named by its property id or domain; null: as it is.
create function site_set(p_name text, p_zone text, p_identity text) returns site
language plpgsql as $$
declare
    made site;
begin
    if p_zone is not null and not exists (select from pg_timezone_names where name = p_zone) then
        raise exception '"%" is not a time zone: give it as in "Europe/Berlin"', left(p_zone, 100);
    end if;
    if p_identity not in ('daily', 'persistent') then
        raise exception 'identity is "daily" or "persistent"';
    end if;
    update site set zone = coalesce(p_zone, zone), identity = coalesce(p_identity, identity)
    where property_id::text = lower(p_name) or domain = regexp_replace(lower(p_name), '^www\.', '')
    returning * into made;
    if made.id is null then
        raise exception 'there is no site "%"', left(p_name, 100);
    end if;
    return made;
end
$$;
grant execute on function site_set to footfall_console;
