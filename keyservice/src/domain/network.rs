//! Which addresses are proxies of ours, so that what they say about their clients is believed.

use std::{fmt, net::IpAddr, str::FromStr};

/// A range of addresses: `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: u128,
    prefix: u32,
    is_v4: bool,
}

/// A text that is no [`Network`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no address and no range such as 10.0.0.0/8 whose bits behind the prefix are 0")]
pub struct InvalidNetwork(String);

impl Network {
    /// Whether the address lies in this range.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (bits, is_v4) = bits(address.to_canonical());
        is_v4 == self.is_v4 && masked(bits, self.prefix) == self.first
    }
}

impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        let invalid = || InvalidNetwork(text.to_owned());
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| invalid())?;
        let (bits, is_v4) = bits(address);
        let width = if is_v4 { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(width), |prefix| prefix.parse().map_err(|_| invalid()))?;
        if prefix > width {
            return Err(invalid());
        }
        // Both sorts are compared in 128 bits.
        let prefix = prefix + (128 - width);
        if masked(bits, prefix) == bits { Ok(Self { first: bits, prefix, is_v4 }) } else { Err(invalid()) }
    }
}

fn bits(address: IpAddr) -> (u128, bool) {
    match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()), true),
        IpAddr::V6(address) => (address.to_bits(), false),
    }
}

/// The first `prefix` of 128 bits; an IPv4 address has 96 that are 0.
fn masked(bits: u128, prefix: u32) -> u128 {
    bits & u128::MAX.checked_shl(128 - prefix).unwrap_or(0)
}

/// The proxies that are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustedProxies(Vec<Network>);

impl TrustedProxies {
    /// Whether the address is one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(address))
    }
}

impl Default for TrustedProxies {
    /// The machine itself.
    fn default() -> Self {
        let v4 = Network { first: 0x7f00_0000, prefix: 96 + 8, is_v4: true };
        let v6 = Network { first: 1, prefix: 128, is_v4: false };
        Self(vec![v4, v6])
    }
}

impl FromStr for TrustedProxies {
    type Err = InvalidNetwork;

    /// Reads ranges parted by commas; `none` for none, nothing for the default.
    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        match text.trim() {
            "none" => return Ok(Self(Vec::new())),
            // A variable that is empty counts as not set.
            "" => return Ok(Self::default()),
            _ => {}
        }
        text.split(',').map(|part| part.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ranges", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::{Network, TrustedProxies};

    fn address(text: &str) -> std::net::IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_lies_in_its_range_only() {
        for (range, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "203.0.113.9", "2001:db8::1"),
            ("::/0", "2001:db8::1", "203.0.113.9"),
            ("2001:db8::/32", "2001:db8:1::1", "2001:db9::1"),
            ("10.0.0.0/8", "::ffff:10.0.0.1", "::10.0.0.1"),
        ] {
            let network: Network = range.parse().unwrap();
            assert!(network.contains(address(inside)), "{range} {inside}");
            assert!(!network.contains(address(outside)), "{range} {outside}");
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for bad in ["", "10.0.0.0/33", "10.0.0.1/8", "10.0.0.0/-1", "10/8", "::1/129", "localhost", "10.0.0.0/8 "] {
            assert!(bad.parse::<Network>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn only_the_machine_itself_is_trusted_unless_told() {
        let proxies = TrustedProxies::default();
        assert!(proxies.contains(address("127.0.0.9")) && proxies.contains(address("::1")));
        assert!(!proxies.contains(address("10.0.0.1")));
        let told: TrustedProxies = "10.0.0.0/8, 2001:db8::/32".parse().unwrap();
        assert!(told.contains(address("10.1.1.1")) && !told.contains(address("127.0.0.1")));
        let none: TrustedProxies = "none".parse().unwrap();
        assert!(!none.contains(address("127.0.0.1")));
        assert!("10.0.0.0/8,".parse::<TrustedProxies>().is_err());
    }
}
