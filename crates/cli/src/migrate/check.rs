//! Whether a daemon would start with the new file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ferrosync_executive::config::{self, Environment, Family, SourceFile};

/// Reads the new file as each node would that is named first; the answer is why it is refused, empty when it is not.
///
/// Host names and users are taken to exist: this machine need not be one of the nodes.
pub(crate) fn refusals(
    text: &str,
    first_address: Option<&str>,
    first_name: Option<&str>,
) -> Vec<String> {
    let mut machine = SomeNode::new(first_address, first_name);
    let source = SourceFile {
        name: "corosync.conf",
        bytes: text.as_bytes(),
    };
    match config::load(source, &[], &mut machine) {
        Ok(_) => Vec::new(),
        Err(errors) => errors.0.iter().map(ToString::to_string).collect(),
    }
}

/// The first node of the list.
struct SomeNode {
    name: String,
    addresses: Vec<IpAddr>,
    names: Vec<String>,
}

impl SomeNode {
    fn new(address: Option<&str>, name: Option<&str>) -> Self {
        let name = name.or(address).unwrap_or("node");
        Self {
            name: name.to_owned(),
            addresses: address
                .and_then(|word| word.parse().ok())
                .into_iter()
                .collect(),
            names: Vec::new(),
        }
    }
}

impl Environment for SomeNode {
    fn node_name(&self) -> &str {
        &self.name
    }

    fn local_addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Each name has an address of its own in networks that are set aside for documentation.
    fn resolve(&mut self, name: &str, family: Family) -> Vec<IpAddr> {
        let known = self.names.iter().position(|known| known == name);
        let number = known.unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        let number = u16::try_from(number).unwrap_or(u16::MAX);
        let [high, low] = number.to_be_bytes();
        let v4 = IpAddr::from(Ipv4Addr::new(198, 18, high, low));
        let v6 = IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, number));
        match family {
            Family::V4 | Family::Any => vec![v4],
            Family::V6 => vec![v6],
        }
    }

    fn reverse(&mut self, _: IpAddr) -> Option<String> {
        None
    }

    fn user_id(&mut self, _: &str) -> Option<u32> {
        Some(1)
    }

    fn group_id(&mut self, _: &str) -> Option<u32> {
        Some(1)
    }
}
