-- API keys. HMAC secrets are stored encrypted, Ed25519 keys as public keys; the encryption key is never here.

CREATE SEQUENCE api_keys_revision;

CREATE TABLE api_keys (
    api_key        text        PRIMARY KEY CHECK (api_key ~ '^[a-zA-Z0-9]{1,128}$'),
    account        bigint      NOT NULL CHECK (account > 1),
    label          text        NOT NULL DEFAULT '',
    kind           text        NOT NULL CHECK (kind IN ('HMAC', 'ED25519')),
    sealed_secret  bytea,
    encryption_key text,
    public_key     bytea       CHECK (octet_length(public_key) = 32),
    can_read       boolean     NOT NULL,
    can_trade      boolean     NOT NULL,
    can_withdraw   boolean     NOT NULL,
    -- Networks in CIDR form; none: any address.
    networks       text[]      NOT NULL DEFAULT '{}',
    created_at     timestamptz NOT NULL DEFAULT now(),
    revoked_at     timestamptz,
    -- Rises with every change; writers hold the table's lock, so that it becomes visible in order.
    revision       bigint      NOT NULL UNIQUE DEFAULT nextval('api_keys_revision'),
    CHECK (num_nonnulls(sealed_secret, encryption_key, public_key)
           = CASE WHEN revoked_at IS NOT NULL THEN 0 WHEN kind = 'HMAC' THEN 2 ELSE 1 END)
);

CREATE INDEX api_keys_account ON api_keys (account, created_at);
