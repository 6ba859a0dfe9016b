// SPDX-License-Identifier: MIT OR Apache-2.0
//! Images made, altered, cut, forged; and one of the past.

use crate::build::{SecretKey, Unbuildable, build, sign};
use crate::{Bundle, FORMAT, HEAD, Header, MAGIC, Refused, SEAL, Span, Version};

/// The image that version 1 of the format was.
const GOLDEN: &[u8] = include_bytes!("../golden/image-v1.usimage");
const ENTRIES: [(&str, &[u8]); 4] =
    [("core", b"the core"), ("root", b"root"), ("manifest", b""), ("services", b"a console and a vmm")];

fn secret() -> SecretKey {
    SecretKey::new(&[7; 32])
}

fn header() -> Header {
    Header::new(Version::new(0, 2, 1), 1, Span::new(1, 2), Span::new(1, 1))
}

fn image() -> Vec<u8> {
    build(&header(), &ENTRIES, &secret()).unwrap()
}

fn open(bytes: &[u8]) -> Result<Bundle<'_>, Refused> {
    Bundle::open(bytes, &secret().public())
}

/// The image with another body than it was made with, signed all the same.
fn forged(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut body = image();
    body.truncate(body.len() - SEAL);
    change(&mut body);
    let bytes = (body.len() + SEAL) as u64;
    body[16..24].copy_from_slice(&bytes.to_le_bytes());
    sign(body, &secret())
}

fn malformed(change: impl FnOnce(&mut Vec<u8>)) -> &'static str {
    match open(&forged(change)) {
        Err(Refused::Malformed(what)) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_was_put_in_comes_out() {
    let image = image();
    let bundle = open(&image).unwrap();
    assert_eq!(bundle.header(), &header());
    assert_eq!(bundle.header().oldest_peer, Version::new(0, 1, 0));
    assert_eq!(bundle.entries().collect::<Vec<_>>(), ENTRIES);
    for (name, bytes) in ENTRIES {
        assert_eq!(bundle.entry(name), Some(bytes));
    }
    assert_eq!((bundle.entry("kernel"), bundle.entry("")), (None, None));
    assert_eq!(bundle.digest(), &image[image.len() - SEAL..][..32]);
}

#[test]
fn any_number_of_entries_up_to_the_most_will_do() {
    let names: Vec<String> = (0..17).map(|number| format!("entry-{number}")).collect();
    for count in 0..=17 {
        let entries: Vec<(&str, &[u8])> =
            names[..count].iter().map(|name| (&**name, name.as_bytes())).collect();
        let built = build(&header(), &entries, &secret());
        if count == 17 {
            assert_eq!(built, Err(Unbuildable::TooManyEntries));
        } else {
            assert_eq!(open(&built.unwrap()).unwrap().entries().count(), count);
        }
    }
}

#[test]
fn what_cannot_be_opened_is_not_built() {
    for name in ["", "seventeen-letters", "Core", "a b", "a\0", "\u{e4}"] {
        assert_eq!(build(&header(), &[(name, b"")], &secret()), Err(Unbuildable::BadName), "{name:?}");
    }
    assert_eq!(build(&header(), &[("a", b""), ("a", b"")], &secret()), Err(Unbuildable::BadName));
    let upside_down = Header { state: Span::new(2, 1), ..header() };
    assert_eq!(build(&upside_down, &[], &secret()), Err(Unbuildable::BadHeader));
}

#[test]
fn every_alteration_of_one_byte_is_refused() {
    let good = image();
    let (key, mut bad) = (secret().public(), good.clone());
    for at in 0..good.len() {
        for value in (0..=u8::MAX).step_by(5).chain([good[at] ^ 1, good[at] ^ 0x80]) {
            if value == good[at] {
                continue;
            }
            bad[at] = value;
            let refused = Bundle::open(&bad, &key).unwrap_err();
            match at {
                0..8 => assert_eq!(refused, Refused::NotAnImage),
                8..10 => assert!(matches!(refused, Refused::UnknownFormat(_))),
                16..24 => assert!(matches!(refused, Refused::Truncated { .. } | Refused::TooLong { .. })),
                at if at >= good.len() - 64 => assert_eq!(refused, Refused::NotSigned),
                _ => assert_eq!(refused, Refused::Altered),
            }
        }
        bad[at] = good[at];
    }
    assert!(Bundle::open(&bad, &key).is_ok());
}

#[test]
fn every_truncation_is_refused_and_so_is_what_follows() {
    let good = image();
    assert_eq!(open(&[]).unwrap_err(), Refused::NotAnImage);
    for size in 1..good.len() {
        let of = if size < 24 { HEAD + SEAL } else { good.len() } as u64;
        assert_eq!(open(&good[..size]).unwrap_err(), Refused::Truncated { bytes: size as u64, of });
        // Cut at the front.
        assert!(open(&good[size..]).is_err());
    }
    let longer = [good.clone(), vec![0]].concat();
    let of = good.len() as u64;
    assert_eq!(open(&longer).unwrap_err(), Refused::TooLong { bytes: of + 1, of });
}

#[test]
fn another_key_and_no_key_are_told_apart() {
    let image = image();
    let other = SecretKey::new(&[8; 32]).public();
    assert_eq!(Bundle::open(&image, &other).unwrap_err(), Refused::NotSigned);
    // Neither a point that is none, nor one with which everybody could sign.
    let no_point =
        (0..=255).map(|byte| [byte; 32]).find(|key| Bundle::open(&image, key) == Err(Refused::NoKey));
    assert!(no_point.is_some());
    let mut weak = [0; 32];
    weak[0] = 1;
    assert!(Bundle::open(&image, &weak).is_err());
    let mut bare = image.clone();
    let size = bare.len();
    bare[size - 64..].fill(0);
    assert!(Bundle::open(&bare, &weak).is_err());
}

#[test]
fn a_signature_for_something_else_is_none() {
    use ed25519_dalek::{Signer, SigningKey};
    let mut image = image();
    let size = image.len();
    let digest = image[size - SEAL..size - 64].to_vec();
    let signature = SigningKey::from_bytes(&[7; 32]).sign(&digest).to_bytes();
    image[size - 64..].copy_from_slice(&signature);
    assert_eq!(open(&image).unwrap_err(), Refused::NotSigned);
}

#[test]
fn what_is_signed_but_makes_no_sense_is_refused() {
    assert!(open(&forged(|_| ())).is_ok());
    assert_eq!(malformed(|body| body[10] = 17), "too many entries");
    assert_eq!(malformed(|body| body[10] = 5), "the table is cut off");
    assert_eq!(malformed(|body| body[10] = 3), "there is a gap or an overlap between entries");
    assert_eq!(malformed(|body| body.push(0)), "there is something after the last entry");
    assert_eq!(malformed(|body| body.truncate(70)), "the table is cut off");
    assert_eq!(malformed(|body| body.truncate(200)), "an entry lies outside");
    let head = "the head has values that this format does not know";
    for at in [12, 15, 48, 63] {
        assert_eq!(malformed(|body| body[at] = 1), head);
    }
    assert_eq!(malformed(|body| body[40] = 9), head);
    let (first, second) = (HEAD, HEAD + 32);
    assert_eq!(
        malformed(|body| body.copy_within(first..first + 16, second)),
        "two entries have the same name"
    );
    assert_eq!(malformed(|body| body[first] = b'C'), "an entry has an impossible name");
    assert_eq!(malformed(|body| body[first + 10] = b'x'), "an entry has an impossible name");
    assert_eq!(malformed(|body| body[first + 16] += 1), "there is a gap or an overlap between entries");
    assert_eq!(malformed(|body| body[first + 24..first + 32].fill(0xff)), "an entry lies outside");
}

#[test]
fn random_bytes_never_panic() {
    let mut random = 1_u64;
    let mut next = move || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) as usize
    };
    let (good, key) = (image(), secret().public());
    for round in 0..20_000 {
        let mut bytes: Vec<u8> = (0..next() % 400).map(|_| next() as u8).collect();
        // Begin like an image, so that it is not refused at once; and every second one is even
        // signed.
        let like = next() % (HEAD + 1);
        bytes.iter_mut().zip(&good[..like.max(10)]).for_each(|(byte, good)| *byte = *good);
        if round % 100 == 0 && bytes.len() >= HEAD {
            let of = (bytes.len() + SEAL) as u64;
            bytes[16..24].copy_from_slice(&of.to_le_bytes());
            bytes = sign(bytes, &secret());
        }
        let _ = Bundle::open(&bytes, &key);
    }
}

#[test]
fn reasons_say_exactly_why() {
    for (refused, says) in [
        (Refused::NotAnImage, "not an image of a hypervisor"),
        (Refused::UnknownFormat(9), "format 9 of images is not known here, only format 1 is"),
        (Refused::Truncated { bytes: 5, of: 9 }, "truncated: 5 of 9 bytes"),
        (Refused::NotSigned, "not signed by the key of this hypervisor"),
    ] {
        assert_eq!(refused.to_string(), says);
    }
}

#[test]
fn images_of_the_past_can_be_opened() {
    assert_eq!(GOLDEN, image(), "a change of the format needs a new number");
    assert!(GOLDEN.starts_with(&MAGIC) && FORMAT == 1);
    assert!(open(GOLDEN).is_ok());
}

/// `cargo test -p understudy-bundle -- --ignored` writes the golden file anew.
#[test]
#[ignore = "writes a file of the repository"]
fn write_golden() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/golden/image-v1.usimage");
    std::fs::write(path, image()).unwrap();
}
