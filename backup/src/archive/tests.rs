//! Any contents are written back byte for byte. Truncated or forged archives are rejected.

use proptest::prelude::*;

use super::*;

pub(super) fn entry(dump_id: i32, kind: &str) -> Entry {
    Entry {
        dump_id,
        has_data: kind == "TABLE DATA",
        catalogue_oid: "0".into(),
        oid: "0".into(),
        tag: "t".into(),
        kind: kind.into(),
        section: DumpSection::Data,
        definition: DumpText::NULL,
        drop_statement: DumpText::NULL,
        copy_statement: DumpText::NULL,
        namespace: "public".into(),
        tablespace: DumpText::NULL,
        access_method: DumpText::NULL,
        relation_kind: None,
        owner: "owner".into(),
        with_oids: "false".into(),
        dependencies: Vec::new(),
        offset: DataOffset::NotSet,
    }
}

pub(super) fn header() -> Header {
    Header {
        version: Version(1, 16, 0),
        integer_size: 4,
        offset_size: 8,
        created: [0; 7],
        database: DumpText::NULL,
        server_version: DumpText::NULL,
        pg_dump_version: DumpText::NULL,
    }
}

fn text() -> impl Strategy<Value = DumpText> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..40)).prop_map(|bytes| DumpText(bytes.map(Vec::into_boxed_slice)))
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let texts = prop::collection::vec(text(), 13);
    let section = prop::sample::select(vec![DumpSection::None, DumpSection::PreData, DumpSection::Data, DumpSection::PostData]);
    let offset = prop_oneof![Just(DataOffset::NotSet), Just(DataOffset::NoData), any::<u64>().prop_map(DataOffset::At)];
    (any::<(i32, bool, i32)>(), texts, section, offset, prop::collection::vec(any::<i32>(), 0..5)).prop_map(
        |((dump_id, has_data, relation_kind), texts, section, offset, dependencies)| {
            let mut texts = texts.into_iter();
            let mut next = || texts.next().unwrap();
            Entry {
                dump_id,
                has_data,
                catalogue_oid: next(),
                oid: next(),
                tag: next(),
                kind: next(),
                section,
                definition: next(),
                drop_statement: next(),
                copy_statement: next(),
                namespace: next(),
                tablespace: next(),
                access_method: next(),
                relation_kind: Some(relation_kind),
                owner: next(),
                with_oids: next(),
                dependencies,
                offset,
            }
        },
    )
}

fn contents(minor: u8) -> impl Strategy<Value = Contents> {
    (any::<[i32; 7]>(), text(), text(), text(), prop::collection::vec(any_entry(), 0..8)).prop_map(
        move |(created, database, server_version, pg_dump_version, mut entries)| {
            let version = Version(1, minor, 0);
            if minor < 16 {
                entries.iter_mut().for_each(|entry| entry.relation_kind = None);
            }
            let header = Header { version, integer_size: 4, offset_size: 8, created, database, server_version, pg_dump_version };
            Contents { header, entries }
        },
    )
}

proptest! {
    #[test]
    fn a_written_archive_is_read_up_to_its_end(
        contents in prop_oneof![contents(14), contents(15), contents(16)],
        behind in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let mut bytes = contents.to_bytes();
        let length = bytes.len();
        bytes.extend(&behind);
        let mut input = bytes.as_slice();
        prop_assert_eq!(&Contents::read(&mut input).unwrap(), &contents);
        prop_assert_eq!(input, behind);
        // An archive truncated at any point is rejected.
        for cut in [0, 3, 8, length / 2, length - 1] {
            prop_assert!(Contents::read(&mut &bytes[..cut.min(length - 1)]).is_err());
        }
    }

    /// The reader must not panic or reserve a forged length.
    #[test]
    fn damaged_bytes_are_rejected_or_read(contents in contents(14), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = contents.to_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = Contents::read(&mut bytes.as_slice());
    }
}

#[test]
fn an_unsupported_archive_is_rejected_with_a_reason() {
    let good = Contents {
        header: Header {
            version: Version(1, 14, 0),
            integer_size: 4,
            offset_size: 8,
            created: [0; 7],
            database: DumpText::NULL,
            server_version: DumpText::NULL,
            pg_dump_version: DumpText::NULL,
        },
        entries: vec![entry(1, "TABLE")],
    }
    .to_bytes();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        Contents::read(&mut bytes.as_slice()).unwrap_err().to_string()
    };
    for (at, byte, part) in [
        (0, b'p', "does not begin with PGDMP"),
        (6, 13, "version 1.13.0"),
        (6, 17, "version 1.17.0"),
        (5, 2, "version 2.14.0"),
        (10, 3, "format 3"),
        (12, 6, "level 6"),
        (8, 9, "integers of 9 bytes"),
    ] {
        let told = with(at, byte);
        assert!(told.contains(part), "{told}");
    }
    assert!(matches!(Contents::read(&mut &good[..good.len() - 1]), Err(ArchiveError::CutOff)));
}

#[test]
fn dependencies_are_followed_transitively() {
    let mut entries = vec![entry(1, "SCHEMA"), entry(2, "TABLE"), entry(3, "INDEX"), entry(4, "TABLE")];
    entries[1].dependencies = vec![1];
    entries[2].dependencies = vec![2, 99];
    let header = Contents::read(&mut empty().as_slice()).unwrap().header;
    let mut found: Vec<_> = Contents { header, entries }.closure([3]).into_iter().collect();
    found.sort_unstable();
    assert_eq!(found, [1, 2, 3, 99]);
}

fn empty() -> Vec<u8> {
    Contents { header: header(), entries: Vec::new() }.to_bytes()
}
