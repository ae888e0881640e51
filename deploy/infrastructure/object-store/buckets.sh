#!/bin/bash
# Creates the buckets of the exchange, or checks existing ones: versioning, object lock, owner, expiry of unfinished uploads.
# It deletes nothing, and changes nothing in a bucket of another owner. Settings: AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID,
# AWS_SECRET_ACCESS_KEY, EXCHANGE_NAME. Exit status: 0 every bucket is right, 1 the store failed, 65 a bucket is wrong.
set -euo pipefail

: "${AWS_ENDPOINT_URL:?set it to the address of the store}" "${EXCHANGE_NAME:?set it to the name of this exchange}"
# A marker object: not every store implements tags of buckets.
MARKER=.exchange-owner
# A lock needs a bucket that was created with it; it cannot be added later.
BUCKETS=(
    "exchange plain"                  # snapshots, archives of the journal, statements
    "backups locked"                  # backups: no person can delete one before its time
    "backups-lease plain"             # the lease of the backup agent: its objects must be replaceable
    "elasticsearch-snapshots plain"
)

say() { printf 'buckets: %s\n' "$*" >&2; }
s3() { aws s3api "$@"; }
refuse() { say "$*"; exit 65; }

exists() { # exists <bucket>: 0 yes, 1 no; ends the script on any other answer
    local answer
    answer=$(s3 head-bucket --bucket "$1" 2>&1) && return 0
    case "$answer" in
    *404* | *"Not Found"*) return 1 ;;
    *403* | *Forbidden*) refuse "bucket $1 belongs to another account: $answer" ;;
    *) say "the store does not answer for bucket $1: $answer"; exit 1 ;;
    esac
}

owner() { # owner <bucket>: the exchange that created it; empty if unmarked
    s3 get-object --bucket "$1" --key "$MARKER" /dev/fd/3 3>&1 >/dev/null 2>/dev/null || true
}

# A run that ended between the bucket and its marker left an empty bucket: this exchange takes it.
is_empty() {
    [ "$(s3 list-objects-v2 --bucket "$1" --max-keys 1 --query 'length(Contents || `[]`)' --output text)" = 0 ]
}

mark() {
    printf '%s' "$EXCHANGE_NAME" >"${TMPDIR:-/tmp}/owner"
    s3 put-object --bucket "$1" --key "$MARKER" --body "${TMPDIR:-/tmp}/owner" >/dev/null
}

is_locked() {
    [ "$(s3 get-object-lock-configuration --bucket "$1" --query ObjectLockConfiguration.ObjectLockEnabled --output text 2>/dev/null)" = Enabled ]
}

create() { # create <bucket> <kind>
    local lock=()
    [ "$2" = locked ] && lock=(--object-lock-enabled-for-bucket)
    s3 create-bucket --bucket "$1" "${lock[@]}" >/dev/null
    say "created bucket $1 ($2)"
}

# Parts of uploads whose program was killed. MinIO and its forks delete them after a day without a rule, and refuse a rule that does only this.
delete_unfinished_uploads() { # delete_unfinished_uploads <bucket>
    local answer
    answer=$(s3 put-bucket-lifecycle-configuration --bucket "$1" --lifecycle-configuration \
        '{"Rules": [{"ID": "unfinished-uploads", "Status": "Enabled", "Filter": {"Prefix": ""}, "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}]}' 2>&1) && return
    case "$answer" in
    *InvalidArgument* | *MalformedXML* | *NotImplemented*)
        say "bucket $1: the store has no rule for unfinished uploads and must delete them itself, as MinIO does: ${answer##*operation: }"
        ;;
    *) say "bucket $1: the rule for unfinished uploads failed: $answer"; exit 1 ;;
    esac
}

# Every bucket is judged before the first one is created or changed.
for entry in "${BUCKETS[@]}"; do
    read -r bucket kind <<<"$entry"
    exists "$bucket" || continue
    found=$(owner "$bucket")
    if [ "$found" != "$EXCHANGE_NAME" ] && { [ -n "$found" ] || ! is_empty "$bucket"; }; then
        refuse "bucket $bucket exists and is marked ${found:-by no exchange}, not $EXCHANGE_NAME; name another bucket, or put $MARKER with that text into it"
    fi
    if [ "$kind" = locked ] && ! is_locked "$bucket"; then
        refuse "bucket $bucket has no object lock, which cannot be added later; create a bucket of another name and set BACKUP_STORE_BUCKET"
    fi
done

for entry in "${BUCKETS[@]}"; do
    read -r bucket kind <<<"$entry"
    exists "$bucket" || create "$bucket" "$kind"
    [ "$(owner "$bucket")" = "$EXCHANGE_NAME" ] || mark "$bucket"
    if [ "$kind" = locked ]; then
        is_locked "$bucket" || refuse "the store created bucket $bucket without the object lock; use a store that supports it"
    fi
    s3 put-bucket-versioning --bucket "$bucket" --versioning-configuration Status=Enabled
    delete_unfinished_uploads "$bucket"
done
say "every bucket is right"
