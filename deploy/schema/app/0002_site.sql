-- 0002_site.sql: the sites, who may see them, and the keys of programs.
create table site (
    id          integer     generated always as identity primary key,
    property_id uuid        not null unique default gen_random_uuid(), -- what pages and clients name
    domain      text        not null,                -- lower case, without "www."
    zone        text        not null,                -- IANA name; days of reports are its days
    identity    text        not null check (identity in ('daily', 'persistent')),
    created_at  timestamptz not null default now()
);
create unique index site_domain on site (domain);

create table site_member (
    site_id    integer not null references site on delete cascade,
    account_id bigint  not null references account on delete cascade,
    role       text    not null check (role in ('owner', 'viewer')),
    primary key (account_id, site_id)
);

create table api_key (
    id         bigint      generated always as identity primary key,
    account_id bigint      references account on delete cascade, -- null: the operator's, every site
    name       text        not null default '',
    key_hash   text        not null unique,          -- BLAKE2b-256, hex
    scopes     text[]      not null check (scopes <@ array['stats', 'ingest'] and scopes <> '{}'),
    created_at timestamptz not null default now(),
    revoked_at timestamptz
);

create function site_create(p_domain text, p_account bigint, p_zone text, p_identity text)
returns site language plpgsql as $$
declare
    clean text := regexp_replace(lower(trim(p_domain)), '^www\.', '');
    made  site;
begin
    if clean !~ '^[a-z0-9_]([a-z0-9_-]{0,62}\.)*[a-z0-9_-]{0,62}(:[0-9]{1,5})?$' or length(clean) > 253 then
        raise exception '"%" is not a domain: give it as in "example.org"', left(p_domain, 100);
    end if;
    if not exists (select from pg_timezone_names where name = p_zone) then
        raise exception '"%" is not a time zone: give it as in "Europe/Berlin"', left(p_zone, 100);
    end if;
    if p_identity not in ('daily', 'persistent') then
        raise exception 'identity is "daily" or "persistent"';
    end if;
    insert into site (domain, zone, identity) values (clean, p_zone, p_identity)
    on conflict do nothing returning * into made;
    if made.id is null then
        raise exception 'there is a site "%" already', clean using errcode = 'unique_violation';
    end if;
    insert into site_member (site_id, account_id, role) values (made.id, p_account, 'owner');
    return made;
end
$$;

-- Whoever holds a snapshot of sites and keys is told to take a new one.
create function snapshot_changed() returns trigger language plpgsql as $$
begin
    notify footfall_snapshot;
    return null;
end
$$;
create trigger site_changed after insert or update or delete on site
    for each statement execute function snapshot_changed();
create trigger site_member_changed after insert or update or delete on site_member
    for each statement execute function snapshot_changed();
create trigger api_key_changed after insert or update or delete on api_key
    for each statement execute function snapshot_changed();

grant select, insert, update, delete on site, site_member, api_key to footfall_console;
grant select on site to footfall_ingress, footfall_worker;
grant select on site, site_member, api_key to footfall_query;
grant select on site_member to footfall_ingress;
grant select (id, account_id, key_hash, scopes, revoked_at) on api_key to footfall_ingress;
grant execute on function site_create to footfall_console;
