//! This module reads and writes key objects: changes of the table of API keys in object storage, encrypted. It must not see a
//! decrypted secret of a key, or decide when to write.
//!
//! - An object contains rows with revisions above `after` and up to `through`. One with `after` 0 contains every row.
//! - An object is compressed, then encrypted with the key of API keys' secrets, and bound to its name. HMAC secrets in it are encrypted a
//!   second time, as in their rows.
//! - Layout: magic (8 bytes), format (u32, little-endian), id of the encryption key (16 bytes), encrypted bytes.

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use crate::{
    api_key::{Permissions, SealedSecret, Vault},
    db::api_keys::{ApiKey, Material},
    media::{Media, MediaError, Replace},
};

const PREFIX: &str = "api_keys/";
const SUFFIX: &str = ".sealed";
const MAGIC: &[u8; 8] = b"EXCHKEYS";
const FORMAT: u32 = 1;
const ENCRYPTION_KEY_BYTES: usize = 16;
const HEADER_BYTES: usize = 8 + 4 + ENCRYPTION_KEY_BYTES;
const COMPRESSION_LEVEL: i32 = 3;

/// The parts of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyObjectName {
    pub generation: i64,
    pub after: i64,
    pub through: i64,
}

impl KeyObjectName {
    pub fn key(&self) -> String {
        format!("{PREFIX}{:06}-{:020}-{:020}{SUFFIX}", self.generation, self.after, self.through)
    }

    fn parse(key: &str) -> Option<Self> {
        let mut parts = key.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.split('-').map(str::parse);
        let mut number = || parts.next()?.ok();
        Some(Self { generation: number()?, after: number()?, through: number()? })
    }

    /// Whether the object contains every row.
    pub const fn is_full(&self) -> bool {
        self.after == 0
    }
}

/// All key objects in the bucket, by generation and revision.
pub async fn list_key_objects(media: &Media) -> Result<Vec<KeyObjectName>, MediaError> {
    Ok(media.list(PREFIX).await?.iter().filter_map(|object| KeyObjectName::parse(&object.key)).collect())
}

/// The objects of the newest generation that together contain the newest state: a full one and the changes after it. Also the last
/// revision that the bucket proves to exist.
pub fn newest(names: &[KeyObjectName]) -> (Vec<KeyObjectName>, i64) {
    let Some(generation) = names.iter().map(|name| name.generation).max() else { return (Vec::new(), 0) };
    let ours: Vec<_> = names.iter().copied().filter(|name| name.generation == generation).collect();
    let last = ours.iter().map(|name| name.through).max().unwrap_or(0);
    let Some(full) = ours.iter().copied().filter(KeyObjectName::is_full).max_by_key(|name| name.through) else {
        return (Vec::new(), last);
    };
    let mut chosen = vec![full];
    let mut at = full.through;
    while let Some(next) = ours.iter().filter(|name| name.after <= at && name.through > at).max_by_key(|name| name.through) {
        at = next.through;
        chosen.push(*next);
    }
    (chosen, last)
}

pub async fn write_keys(media: &Media, vault: &Vault, name: KeyObjectName, rows: &[ApiKey]) -> anyhow::Result<()> {
    let key = name.key();
    let object = pack(vault, &key, rows)?;
    Ok(media.put(&key, object.into(), "application/octet-stream", Replace::Yes).await?)
}

/// The rows of one object. A [`MediaError`] is an error of the store.
pub async fn read_keys(media: &Media, vault: &Vault, name: KeyObjectName) -> anyhow::Result<Vec<ApiKey>> {
    let key = name.key();
    let object = media.get(&key).await?;
    unpack(vault, &key, &object).with_context(|| format!("the object {key} cannot be read"))
}

pub async fn delete(media: &Media, name: KeyObjectName) -> Result<(), MediaError> {
    media.delete(&name.key()).await
}

fn pack(vault: &Vault, key: &str, rows: &[ApiKey]) -> anyhow::Result<Vec<u8>> {
    let rows: Vec<KeyRow> = rows.iter().map(KeyRow::of).collect();
    let compressed = zstd::encode_all(serde_json::to_vec(&rows)?.as_slice(), COMPRESSION_LEVEL)?;
    let SealedSecret { encryption_key, bytes } = vault.seal_bytes(key, &compressed)?;
    let id: [u8; ENCRYPTION_KEY_BYTES] = encryption_key.as_bytes().try_into()?;
    Ok([MAGIC.as_slice(), &FORMAT.to_le_bytes(), &id, &bytes].concat())
}

fn unpack(vault: &Vault, key: &str, object: &[u8]) -> anyhow::Result<Vec<ApiKey>> {
    let (header, bytes) = object.split_at_checked(HEADER_BYTES).context("the object is shorter than its header")?;
    ensure!(header[..8] == *MAGIC, "the object does not start with the magic of a key object");
    let format = u32::from_le_bytes(header[8..12].try_into()?);
    ensure!(format == FORMAT, "format {format} is not supported, this release reads {FORMAT}: run the release that wrote it");
    let encryption_key = String::from_utf8_lossy(&header[12..]).into_owned();
    let compressed = vault.open_bytes(key, &SealedSecret { encryption_key, bytes: bytes.to_vec() })?;
    let rows: Vec<KeyRow> = serde_json::from_slice(&zstd::decode_all(compressed.as_slice())?)?;
    rows.into_iter().map(KeyRow::into_key).collect()
}

#[derive(Serialize, Deserialize)]
struct KeyRow {
    api_key: String,
    account: u32,
    label: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed_secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_key: Option<String>,
    read: bool,
    trade: bool,
    withdraw: bool,
    networks: Vec<String>,
    created_at: i64,
    revoked_at: Option<i64>,
    revision: i64,
}

impl KeyRow {
    fn of(key: &ApiKey) -> Self {
        let (mut sealed_secret, mut encryption_key, mut public_key) = (None, None, None);
        match &key.material {
            Material::Hmac(sealed) => {
                (sealed_secret, encryption_key) = (Some(hex::encode(&sealed.bytes)), Some(sealed.encryption_key.clone()));
            }
            Material::Ed25519(bytes) => public_key = Some(hex::encode(bytes)),
            Material::Gone => {}
        }
        Self {
            api_key: key.api_key.clone(),
            account: key.account,
            label: key.label.clone(),
            sealed_secret,
            encryption_key,
            public_key,
            read: key.permissions.read,
            trade: key.permissions.trade,
            withdraw: key.permissions.withdraw,
            networks: key.networks.iter().map(ToString::to_string).collect(),
            created_at: key.created_at,
            revoked_at: key.revoked_at,
            revision: key.revision,
        }
    }

    fn into_key(self) -> anyhow::Result<ApiKey> {
        let material = match (self.sealed_secret, self.encryption_key, self.public_key) {
            (Some(secret), Some(encryption_key), _) => {
                Material::Hmac(SealedSecret { encryption_key, bytes: hex::decode(secret)? })
            }
            (_, _, Some(public_key)) => {
                let mut bytes = [0; 32];
                hex::decode_to_slice(public_key, &mut bytes)?;
                Material::Ed25519(bytes)
            }
            _ => Material::Gone,
        };
        let networks: Result<_, _> = self.networks.iter().map(|text| text.parse()).collect();
        Ok(ApiKey {
            api_key: self.api_key,
            account: self.account,
            label: self.label,
            material,
            permissions: Permissions { read: self.read, trade: self.trade, withdraw: self.withdraw },
            networks: networks?,
            created_at: self.created_at,
            revoked_at: self.revoked_at,
            revision: self.revision,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use service_kit::config::SecretBytes;

    fn key(api_key: &str, material: Material, revision: i64) -> ApiKey {
        ApiKey {
            api_key: api_key.into(),
            account: 7,
            label: "bot".into(),
            revoked_at: (material == Material::Gone).then_some(5),
            material,
            permissions: Permissions { read: true, trade: false, withdraw: true },
            networks: vec!["10.0.0.0/8".parse().unwrap()],
            created_at: 4,
            revision,
        }
    }

    #[test]
    fn rows_read_back_only_with_the_key_and_under_their_name() {
        let (vault, name) = (Vault::new(&SecretBytes::from([7; 32]), &[]), KeyObjectName { generation: 1, after: 0, through: 3 });
        let sealed = vault.seal("one", &"secret".to_owned().into()).unwrap();
        let rows =
            [key("one", Material::Hmac(sealed), 1), key("two", Material::Ed25519([9; 32]), 2), key("three", Material::Gone, 3)];
        let object = pack(&vault, &name.key(), &rows).unwrap();
        assert_eq!(unpack(&vault, &name.key(), &object).unwrap(), rows);
        assert!(!object.windows(3).any(|window| window == b"bot"));
        let other = Vault::new(&SecretBytes::from([8; 32]), &[]);
        assert!(unpack(&other, &name.key(), &object).unwrap_err().to_string().contains("not configured"));
        assert!(unpack(&vault, &KeyObjectName { through: 4, ..name }.key(), &object).is_err(), "under another name");
        assert_eq!(KeyObjectName::parse(&name.key()), Some(name));
    }

    #[test]
    fn the_newest_generation_is_a_full_object_and_the_changes_after_it() {
        let name = |generation, after, through| KeyObjectName { generation, after, through };
        let names = [name(0, 0, 90), name(1, 0, 4), name(1, 0, 10), name(1, 4, 7), name(1, 10, 11), name(1, 11, 13)];
        assert_eq!(newest(&names), (vec![name(1, 0, 10), name(1, 10, 11), name(1, 11, 13)], 13));
        let gap = [name(1, 0, 4), name(1, 6, 9)];
        assert_eq!(newest(&gap), (vec![name(1, 0, 4)], 9));
        assert_eq!(newest(&[name(2, 3, 5)]), (Vec::new(), 5));
        assert_eq!(newest(&[]), (Vec::new(), 0));
    }
}
