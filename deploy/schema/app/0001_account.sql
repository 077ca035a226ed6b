-- 0001_account.sql: who may log in, and from where they are logged in now.
-- Of every secret (password, token, key) only a hash is kept.
revoke all on schema public from public;
alter default privileges revoke execute on functions from public; -- each is granted by name
grant usage on schema public to footfall_ingress, footfall_worker, footfall_query, footfall_console;

create table account (
    id            bigint generated always as identity primary key,
    email         text        not null check (length(email) between 3 and 254),
    password_hash text        not null,              -- Argon2id, see lib/secret.h
    created_at    timestamptz not null default now()
);
create unique index account_email on account (lower(email));

create table login_session (
    token_hash   text        primary key,            -- BLAKE2b-256 of the cookie, hex
    account_id   bigint      not null references account on delete cascade,
    created_at   timestamptz not null default now(),
    expires_at   timestamptz not null
);
create index login_session_account on login_session (account_id);

-- One link for the first account, while there is none.
create table setup_token (
    token_hash text        primary key,
    expires_at timestamptz not null
);

-- Make an account. What a person can mend is raised as P0001, in words for that person.
create function account_create(p_email text, p_password_hash text) returns bigint
language plpgsql as $$
declare
    new_id bigint;
begin
    if p_email !~ '^[^@[:space:]]+@[^@[:space:]]+$' or length(p_email) > 254 then
        raise exception '"%" is not an e-mail address', left(p_email, 100);
    end if;
    insert into account (email, password_hash) values (p_email, p_password_hash)
    on conflict do nothing returning id into new_id;
    if new_id is null then
        raise exception 'there is an account with the e-mail address "%" already', p_email
            using errcode = 'unique_violation';
    end if;
    return new_id;
end
$$;

-- The first account, by the one-time token; null when the token is wrong, used or too old, or when
-- there is an account already. The lock lets one of two at the same time win.
create function account_create_first(p_token_hash text, p_email text, p_password_hash text)
returns bigint language plpgsql as $$
begin
    lock table account in share row exclusive mode;
    if exists (select from account) then
        return null;
    end if;
    delete from setup_token where token_hash = p_token_hash and expires_at > now();
    if not found then
        return null;
    end if;
    delete from setup_token;
    return account_create(p_email, p_password_hash);
end
$$;

grant select, insert, update, delete on account, login_session, setup_token to footfall_console;
grant select (id, email) on account to footfall_query;
grant select on login_session to footfall_query;
grant execute on function account_create, account_create_first to footfall_console;
