// SPDX-License-Identifier: MIT OR Apache-2.0
//! The public half of the key that images are signed with.

/// The key, as 32 bytes.
pub type PublicKey = [u8; 32];

/// The key out of 64 hexadecimal digits. It can be read when the program is compiled:
///
/// ```
/// const KEY: Option<bundle::PublicKey> = match option_env!("UNDERSTUDY_IMAGE_KEY") {
///     Some(text) => bundle::key_from_hex(text),
///     None => None,
/// };
/// ```
#[must_use]
pub const fn key_from_hex(text: &str) -> Option<PublicKey> {
    let text = text.as_bytes();
    let mut key = [0; 32];
    if text.len() != 2 * key.len() {
        return None;
    }
    let mut at = 0;
    while at < key.len() {
        let (Some(high), Some(low)) = (digit(text[2 * at]), digit(text[2 * at + 1])) else { return None };
        key[at] = high << 4 | low;
        at += 1;
    }
    Some(key)
}

const fn digit(byte: u8) -> Option<u8> {
    match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::key_from_hex;

    #[test]
    fn a_key_is_64_digits() {
        let text = "00ff0Aa0".repeat(8);
        let key = key_from_hex(&text).unwrap();
        assert_eq!(key[..5], [0, 255, 10, 160, 0]);
        assert_eq!(key_from_hex(&text[1..]), None);
        assert_eq!(key_from_hex(&text.replace('A', "g")), None);
        assert_eq!(key_from_hex(""), None);
    }
}
