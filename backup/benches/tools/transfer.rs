//! This module is the uploader and downloader of the other tools. It has the agent's client, part size and parts in flight.
//!
//! `upload KEY` reads standard input, and `download KEY` writes standard output. With a folder, each file is an object.

use std::{
    fs,
    io::{Read, Write},
    path::Path,
};

use anyhow::{Context, Result, bail};
use backup::{
    config::ObjectStoreSettings,
    store::{Replace, Store, Upload, UploadedPart},
};
use bytes::Bytes;
use tokio::task::JoinSet;

const IN_FLIGHT: usize = 4;

/// Standard input into one object.
pub async fn upload(store: &Store, settings: &ObjectStoreSettings, key: &str, mut input: impl Read) -> Result<()> {
    let upload = store.begin_upload(key).await?;
    let (mut sending, mut parts): (JoinSet<_>, Vec<UploadedPart>) = (JoinSet::new(), Vec::new());
    let mut bytes = 0;
    for number in 1.. {
        let part = tokio::task::block_in_place(|| filled(&mut input, settings.part_bytes))?;
        bytes += part.len() as u64;
        if part.is_empty() {
            break;
        }
        if sending.len() == IN_FLIGHT {
            parts.extend(sending.join_next().await.transpose()?.transpose()?);
        }
        let (store, upload): (Store, Upload) = (store.clone(), upload.clone());
        sending.spawn(async move { store.upload_part(&upload, number, Bytes::from(part)).await });
    }
    while let Some(part) = sending.join_next().await {
        parts.push(part??);
    }
    Ok(store.complete_upload(&upload, parts, bytes).await?)
}

fn filled(input: &mut impl Read, bytes: usize) -> Result<Vec<u8>> {
    let mut part = Vec::with_capacity(bytes);
    input.take(bytes as u64).read_to_end(&mut part)?;
    Ok(part)
}

/// One object to standard output, in ranges of a part.
pub async fn download(store: &Store, settings: &ObjectStoreSettings, key: &str, output: &mut impl Write) -> Result<()> {
    let object = store.head(key).await?.with_context(|| format!("object {key} does not exist"))?;
    let mut offset = 0;
    let mut coming: std::collections::VecDeque<tokio::task::JoinHandle<Result<Bytes>>> = std::collections::VecDeque::new();
    loop {
        while offset < object.bytes && coming.len() < IN_FLIGHT {
            let (bytes, from, store, key) =
                ((settings.part_bytes as u64).min(object.bytes - offset), offset, store.clone(), key.to_owned());
            offset += bytes;
            coming.push_back(tokio::spawn(async move {
                let body = store.get_range(&key, from, bytes).await?;
                Ok(store.collect(&key, body).await?)
            }));
        }
        let Some(next) = coming.pop_front() else { break };
        let bytes = next.await??;
        tokio::task::block_in_place(|| output.write_all(&bytes))?;
    }
    Ok(())
}

/// Uploads a file of at most one part in one request, like the agent, and several files concurrently.
pub async fn upload_folder(store: &Store, settings: &ObjectStoreSettings, key: &str, folder: &Path) -> Result<()> {
    let mut sending: JoinSet<Result<()>> = JoinSet::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let key = format!("{key}/{}", entry.file_name().into_string().unwrap_or_default());
        if entry.metadata()?.len() > settings.part_bytes as u64 {
            upload(store, settings, &key, fs::File::open(entry.path())?).await?;
            continue;
        }
        if sending.len() == IN_FLIGHT {
            sending.join_next().await.transpose()?.transpose()?;
        }
        let (store, bytes) = (store.clone(), Bytes::from(fs::read(entry.path())?));
        sending.spawn(async move { Ok(store.put(&key, bytes, Replace::Yes).await?) });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    Ok(())
}

pub async fn download_folder(store: &Store, settings: &ObjectStoreSettings, key: &str, folder: &Path) -> Result<()> {
    fs::create_dir(folder)?;
    for object in store.list(&format!("{key}/")).await? {
        let name = object.key.rsplit('/').next().unwrap_or_default().to_owned();
        download(store, settings, &object.key, &mut fs::File::create(folder.join(name))?).await?;
    }
    Ok(())
}

/// Stored bytes under a prefix.
pub async fn stored(store: &Store, prefix: &str) -> Result<u64> {
    Ok(store.list(prefix).await?.iter().map(|object| object.bytes).sum())
}

pub async fn remove(store: &Store, prefix: &str) -> Result<()> {
    let keys: Vec<_> = store.list(prefix).await?.into_iter().map(|object| (object.key, None)).collect();
    match store.delete(&keys).await?.first() {
        None => Ok(()),
        Some((key, reason)) => bail!("failed to delete {key}: {reason}"),
    }
}
