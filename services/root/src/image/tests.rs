// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images that are taken, and images that are not.

use abi::rights::Rights;

use super::{Image, read};

/// An executable with segments (address, flags, file bytes, memory bytes), contents 1, 2, 3, ...
fn sample(segments: &[(u64, u32, u64, u64)]) -> Vec<u8> {
    let mut bytes = vec![0u8; 64];
    bytes[..7].copy_from_slice(&[0x7f, b'E', b'L', b'F', 2, 1, 1]);
    bytes[16..18].copy_from_slice(&2u16.to_le_bytes());
    bytes[18..20].copy_from_slice(&62u16.to_le_bytes());
    bytes[20..24].copy_from_slice(&1u32.to_le_bytes());
    bytes[24..32].copy_from_slice(&0x40_1004u64.to_le_bytes());
    bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
    bytes[52..54].copy_from_slice(&64u16.to_le_bytes());
    bytes[54..56].copy_from_slice(&56u16.to_le_bytes());
    bytes[56..58].copy_from_slice(&(segments.len() as u16).to_le_bytes());
    let mut offset = 64 + 56 * segments.len() as u64;
    for &(address, flags, file, memory) in segments {
        bytes.extend(1u32.to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        for word in [offset, address, address, file, memory, 0x1000] {
            bytes.extend(word.to_le_bytes());
        }
        offset += file;
    }
    for &(_, _, file, _) in segments {
        bytes.extend((0..file).map(|index| (index + 1) as u8));
    }
    bytes
}

const GOOD: [(u64, u32, u64, u64); 2] = [(0x40_1000, 5, 8, 8), (0x40_2010, 6, 4, 0x3000)];

#[test]
fn a_good_image_is_read() {
    let bytes = sample(&GOOD);
    let Image { entry, segments } = read(&bytes).unwrap();
    assert_eq!((entry, segments.len()), (0x40_1004, 2));
    assert_eq!(segments[0].rights, Rights::READ.or(Rights::EXECUTE));
    assert_eq!((segments[1].address, segments[1].size), (0x40_2010, 0x3000));
    assert_eq!(segments[1].data_in(0x40_2000, 0x1000), (0x10, &[1, 2, 3, 4][..]));
    assert_eq!(segments[1].data_in(0x40_2012, 1), (0, &[3][..]));
    assert_eq!(segments[1].data_in(0x40_3000, 0x1000), (0, &[][..]));
}

#[test]
fn what_root_cannot_map_is_refused() {
    let refused = |segments: &[(u64, u32, u64, u64)]| read(&sample(segments)).unwrap_err();
    assert_eq!(refused(&[(0x40_1000, 7, 8, 8)]), "a segment is writable and executable");
    assert_eq!(refused(&[(0x40_1000, 5, 8, 8), (0x40_1800, 6, 4, 4)]), "segments share a page");
    assert_eq!(refused(&[(0x40_2000, 5, 8, 8)]), "the entry is in no executable segment");
    assert_eq!(refused(&[(0x40_1000, 5, 9, 8)]), "a segment has an impossible size");
    assert_eq!(refused(&[(0x8000_0000_0000, 5, 8, 8)]), "a segment lies outside of the addresses of images");
    assert_eq!(refused(&[(u64::MAX - 3, 5, 8, 8)]), "a segment wraps around");
}

#[test]
fn a_cut_or_altered_image_never_panics() {
    let bytes = sample(&GOOD);
    for size in 0..bytes.len() {
        assert!(read(&bytes[..size]).is_err());
    }
    for index in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut altered = bytes.clone();
            altered[index] = value;
            if let Ok(image) = read(&altered) {
                for segment in &image.segments {
                    let _ = segment.data_in(0x40_1000, 0x1000);
                }
            }
        }
    }
}
