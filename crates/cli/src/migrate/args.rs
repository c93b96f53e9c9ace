//! The command line of `ferrosync migrate`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::ValueEnum;

use super::kind::Kind;

/// Writes a corosync.conf for Corosync 3 from the configuration of an older cluster, and says what became of every key.
///
/// Reads corosync.conf of Corosync 1 and 2, cluster.conf of CMAN, ha.cf of Heartbeat and corosync.xml. The new file goes
/// to standard output and the report to standard error; with --output the report goes to standard output.
///
/// Exit codes: 0 the new file says all that the old one said; 3 it was written, and somebody has to look at the lines that
/// say `decide`; 4 nothing was written, because something is missing without which a node would refuse the file; 1 the
/// input cannot be read or the output not written; 2 wrong options.
#[derive(Debug, clap::Args)]
pub(crate) struct MigrateArgs {
    /// The old configuration.
    pub(crate) input: PathBuf,
    /// What it is, where its content does not tell.
    #[arg(long, value_enum, value_name = "KIND")]
    pub(crate) from: Option<Kind>,
    /// Write the new file here, which must not exist yet.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// How the report is written.
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub(crate) format: ReportFormat,
    #[command(flatten)]
    pub(crate) wishes: Wishes,
}

/// What the old file cannot tell, or what shall be otherwise.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Wishes {
    /// Name of the cluster (CMAN_CLUSTER_NAME).
    #[arg(long, value_name = "NAME")]
    pub(crate) cluster_name: Option<String>,
    /// A node with its address on each link and perhaps its id, such as a=10.0.0.1,10.1.0.1@1; may be repeated.
    #[arg(long = "node", value_name = "NAME=ADDRESS[,ADDRESS..][@ID]")]
    pub(crate) nodes: Vec<NodeWish>,
    /// How the nodes shall talk; without it as before, or knet where only that can do what the file asks for.
    #[arg(long, value_enum, value_name = "TRANSPORT")]
    pub(crate) transport: Option<Transport>,
    /// Cipher and hash of the ring, such as aes256/sha256, or none.
    #[arg(long, value_name = "CIPHER/HASH")]
    pub(crate) crypto: Option<Crypto>,
    /// Key of the ring (KEYFILE).
    #[arg(long, value_name = "FILE")]
    pub(crate) keyfile: Option<String>,
    /// UDP port of the first link (IP_PORT).
    #[arg(long, value_name = "PORT")]
    pub(crate) port: Option<u16>,
    /// Multicast address for --transport udp (MCAST_ADDR).
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) mcast_address: Option<std::net::IpAddr>,
    /// Votes of the whole cluster (EXPECTEDVOTES).
    #[arg(long, value_name = "VOTES")]
    pub(crate) expected_votes: Option<u32>,
    /// Whether one of two nodes is a quorum (2NODE).
    #[arg(long, value_enum, value_name = "WORD")]
    pub(crate) two_node: Option<YesNo>,
    /// The node whose file this is (CMAN_NODENAME); --nodeid and --votes are meant for it.
    #[arg(long, value_name = "NAME")]
    pub(crate) local_node: Option<String>,
    /// Id of the local node (NODEID).
    #[arg(long, value_name = "ID", requires = "local_node", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) nodeid: Option<u32>,
    /// Votes of the local node (VOTES).
    #[arg(long, value_name = "VOTES", requires = "local_node", value_parser = clap::value_parser!(u32).range(0..=255))]
    pub(crate) votes: Option<u32>,
}

/// How the report is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ReportFormat {
    /// Lines for people.
    Text,
    /// One JSON object.
    Json,
}

/// `totem.transport` of Corosync 3.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Transport {
    Knet,
    Udpu,
    Udp,
}

impl Transport {
    /// The word of corosync.conf.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Knet => "knet",
            Self::Udpu => "udpu",
            Self::Udp => "udp",
        }
    }
}

/// A word of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum YesNo {
    Yes,
    No,
}

/// `totem.crypto_cipher` and `totem.crypto_hash`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Crypto {
    pub(crate) cipher: String,
    pub(crate) hash: String,
}

impl Crypto {
    /// A ring in clear text.
    pub(crate) fn none() -> Self {
        Self::of("none", "none")
    }

    /// What is written where only "encrypted" was said.
    pub(crate) fn strong() -> Self {
        Self::of("aes256", "sha256")
    }

    pub(crate) fn of(cipher: &str, hash: &str) -> Self {
        Self {
            cipher: cipher.to_owned(),
            hash: hash.to_owned(),
        }
    }

    /// Whether packets are encrypted or signed.
    pub(crate) fn is_on(&self) -> bool {
        self.cipher != "none" || self.hash != "none"
    }
}

/// Ciphers of Corosync 3 (corosync.conf(5), v3.1.7).
pub(crate) const CIPHERS: [&str; 4] = ["none", "aes256", "aes192", "aes128"];
/// Hashes of Corosync 3.
pub(crate) const HASHES: [&str; 6] = ["none", "md5", "sha1", "sha256", "sha384", "sha512"];

impl FromStr for Crypto {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        if word == "none" {
            return Ok(Self::none());
        }
        match word.split_once('/') {
            Some((cipher, hash)) if CIPHERS.contains(&cipher) && HASHES.contains(&hash) => {
                if cipher != "none" && hash == "none" {
                    return Err("a cipher needs a hash".to_owned());
                }
                Ok(Self::of(cipher, hash))
            }
            Some(_) | None => Err(format!(
                "write none or CIPHER/HASH with one of {} and one of {}",
                CIPHERS.join(", "),
                HASHES.join(", ")
            )),
        }
    }
}

/// A node as an option tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NodeWish {
    pub(crate) name: String,
    /// One for each link; at least one.
    pub(crate) addresses: Vec<String>,
    pub(crate) id: Option<u32>,
}

impl FromStr for NodeWish {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let form = || "write NAME=ADDRESS[,ADDRESS..][@ID]".to_owned();
        let (name, rest) = word.split_once('=').ok_or_else(form)?;
        let (addresses, id) = match rest.split_once('@') {
            Some((addresses, id)) => (addresses, Some(id.parse::<u32>().map_err(|_| form())?)),
            None => (rest, None),
        };
        let addresses: Vec<String> = addresses.split(',').map(str::to_owned).collect();
        if name.is_empty() || id == Some(0) || addresses.iter().any(String::is_empty) {
            return Err(form());
        }
        if addresses.len() > LINKS_MAX {
            return Err(format!("a node has at most {LINKS_MAX} links"));
        }
        Ok(Self {
            name: name.to_owned(),
            addresses,
            id,
        })
    }
}

/// Links of knet (corosync `totem.h: INTERFACE_MAX`, v3.1.7).
pub(crate) const LINKS_MAX: usize = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_told_by_name_addresses_and_id() {
        let node: NodeWish = "a=10.0.0.1,fd00::1@7".parse().unwrap();
        assert_eq!(node.name, "a");
        assert_eq!(node.addresses, ["10.0.0.1", "fd00::1"]);
        assert_eq!(node.id, Some(7));
        for wrong in [
            "a",
            "=x",
            "a=",
            "a=x,",
            "a=x@",
            "a=x@0",
            "a=1,2,3,4,5,6,7,8,9",
        ] {
            assert!(wrong.parse::<NodeWish>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn crypto_is_a_pair_that_corosync_takes() {
        assert_eq!("none".parse(), Ok(Crypto::none()));
        assert_eq!("none/sha1".parse(), Ok(Crypto::of("none", "sha1")));
        for wrong in ["aes256", "aes256/none", "3des/sha1", "aes128/sha3"] {
            assert!(wrong.parse::<Crypto>().is_err(), "{wrong}");
        }
    }
}
