//! Uploaded files: a photo must be a picture of a size that Telegram takes (<https://core.telegram.org/bots/api#sendphoto>).

use crate::{
    parameters::UploadedFile,
    reply::MethodError,
    world::{Photo, World},
};

const PHOTO_BYTES: usize = 10 << 20;
const DOCUMENT_BYTES: usize = 50 << 20;
/// Width and height together.
const PHOTO_SIDES: u32 = 10_000;
const PHOTO_RATIO: u32 = 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileKind {
    Photo,
    Document,
}

/// Takes an upload in.
pub(super) fn keep(world: &mut World, upload: &UploadedFile, kind: FileKind) -> Result<Photo, MethodError> {
    let bytes = upload.content.len();
    let limit = if kind == FileKind::Photo { PHOTO_BYTES } else { DOCUMENT_BYTES };
    if bytes == 0 {
        return Err(MethodError::bad_request("file must be non-empty"));
    }
    if bytes > limit {
        return Err(MethodError::bad_request("file is too big"));
    }
    let size = match kind {
        FileKind::Document => None,
        FileKind::Photo => {
            let (width, height) = size(&upload.content).ok_or_else(|| MethodError::bad_request("IMAGE_PROCESS_FAILED"))?;
            let (long, short) = (width.max(height), width.min(height));
            if short == 0 || width.saturating_add(height) > PHOTO_SIDES || long > short.saturating_mul(PHOTO_RATIO) {
                return Err(MethodError::bad_request("PHOTO_INVALID_DIMENSIONS"));
            }
            Some((width, height))
        }
    };
    let file_id = format!("emulated-{}", world.number());
    world.keep_file(&file_id, upload.content.clone());
    Ok(Photo { file_id, size, bytes, name: upload.name.clone() })
}

/// A file that was uploaded before.
pub(super) fn known(world: &World, file_id: &str, kind: FileKind) -> Result<Photo, MethodError> {
    let name = if kind == FileKind::Photo { "photo" } else { "document" };
    if file_id.is_empty() {
        return Err(MethodError::bad_request(format!("there is no {name} in the request")));
    }
    let content = world.file(file_id).ok_or_else(|| MethodError::bad_request("wrong file identifier/HTTP URL specified"))?;
    let size = if kind == FileKind::Photo { size(content) } else { None };
    Ok(Photo { file_id: file_id.to_owned(), size, bytes: content.len(), name: name.to_owned() })
}

/// Width and height of a PNG or a JPEG.
fn size(content: &[u8]) -> Option<(u32, u32)> {
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR";
    if let Some(header) = content.strip_prefix(PNG) {
        let number = |place: usize| Some(u32::from_be_bytes(header.get(place..place + 4)?.try_into().ok()?));
        return Some((number(0)?, number(4)?));
    }
    let mut rest = content.strip_prefix(b"\xff\xd8")?;
    // Segments, up to the one that begins a frame and tells its size.
    loop {
        let [0xff, marker, high, low, ..] = *rest else { return None };
        let length = usize::from(u16::from_be_bytes([high, low]));
        if matches!(marker, 0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf) {
            let [height_high, height_low, width_high, width_low] = *rest.get(5..9)? else { return None };
            let number = |high, low| u32::from(u16::from_be_bytes([high, low]));
            return Some((number(width_high, width_low), number(height_high, height_low)));
        }
        rest = rest.get(2 + length..)?;
    }
}
