//! Links, which are networks of the lab, and the cables that connect a node to them.

use std::fmt;
use std::str::FromStr;

use super::plan::BadWord;
use crate::args::LinkState;

/// Most links of a ring (`totem.h`, INTERFACE_MAX, v3.1.7).
pub(crate) const LINKS_MAX: u8 = 8;

/// Least that a cable may be made to let through: smaller than any packet of a ring would be a pulled cable.
const NARROW_MIN: u32 = 100;

/// Most bytes of a packet on an interface (ETH_MAX_MTU of the kernel).
pub(crate) const MTU_MAX: u32 = 65_535;

/// A link of the lab, 0 to 7: `ring0_addr` to `ring7_addr`, and a network of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkNumber(u8);

impl LinkNumber {
    /// The only link of most labs.
    pub(crate) const FIRST: Self = Self(0);

    /// The links of a lab that has `count`.
    pub(crate) fn all(count: u8) -> impl Iterator<Item = Self> {
        (0..count.min(LINKS_MAX)).map(Self)
    }

    /// The number.
    pub(crate) fn get(self) -> u8 {
        self.0
    }

    /// The interface inside a node.
    pub(crate) fn interface(self) -> String {
        format!("eth{}", self.0)
    }
}

impl fmt::Display for LinkNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for LinkNumber {
    type Err = BadWord;

    fn from_str(word: &str) -> Result<Self, BadWord> {
        match word.parse() {
            Ok(number) if number < LINKS_MAX => Ok(Self(number)),
            Ok(_) | Err(_) => Err(BadWord::new(format!(
                "`{word}` is no link: write a number from 0 to {}",
                LINKS_MAX - 1
            ))),
        }
    }
}

/// What is done to cables of a node, written `down`, `1 up`, `1 mtu 1200`, `mtu full`; without a link's number it is
/// done to all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CableOrder {
    pub(crate) link: Option<LinkNumber>,
    pub(crate) change: CableChange,
}

/// A change of a cable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CableChange {
    /// Pull or plug it.
    State(LinkState),
    /// Lose packets of more than this many bytes, without a word to anybody.
    Narrow(u32),
    /// Let through all that fits into the interfaces.
    Full,
}

impl CableOrder {
    /// Whether it concerns the cable of `link`.
    pub(crate) fn concerns(self, link: LinkNumber) -> bool {
        self.link.is_none_or(|wanted| wanted == link)
    }
}

impl fmt::Display for CableOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(link) = self.link {
            write!(f, "{link} ")?;
        }
        match self.change {
            CableChange::State(LinkState::Up) => f.write_str("up"),
            CableChange::State(LinkState::Down) => f.write_str("down"),
            CableChange::Narrow(mtu) => write!(f, "mtu {mtu}"),
            CableChange::Full => f.write_str("mtu full"),
        }
    }
}

impl FromStr for CableOrder {
    type Err = BadWord;

    fn from_str(text: &str) -> Result<Self, BadWord> {
        let words: Vec<&str> = text.split(' ').collect();
        let (link, change) = match words[..] {
            ["up" | "down" | "mtu", ..] => (None, &words[..]),
            [link, ..] => (Some(link.parse()?), &words[1..]),
            [] => (None, &words[..]),
        };
        let change = match change {
            ["up"] => CableChange::State(LinkState::Up),
            ["down"] => CableChange::State(LinkState::Down),
            ["mtu", "full"] => CableChange::Full,
            ["mtu", bytes] => match bytes.parse() {
                Ok(mtu) if (NARROW_MIN..=MTU_MAX).contains(&mtu) => CableChange::Narrow(mtu),
                Ok(_) | Err(_) => {
                    return Err(BadWord::new(format!(
                        "`{bytes}` is no size of packets: write `full` or {NARROW_MIN} to {MTU_MAX}"
                    )));
                }
            },
            _ => {
                return Err(BadWord::new(format!(
                    "`{text}` is nothing for a cable: write such as `1 down`, `1 up`, `1 mtu 1200` or `1 mtu full`"
                )));
            }
        };
        Ok(Self { link, change })
    }
}

/// A cable of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cable {
    pub(super) state: LinkState,
    /// Bytes of the longest packet that it lets through, if it was made narrow.
    pub(super) mtu: Option<u32>,
}

impl Cable {
    const WHOLE: Self = Self {
        state: LinkState::Up,
        mtu: None,
    };
}

/// All cables of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cables(Vec<Cable>);

impl Cables {
    /// As many as the lab has links, plugged.
    pub(super) fn new(links: u8) -> Self {
        Self(LinkNumber::all(links).map(|_| Cable::WHOLE).collect())
    }

    /// Notes what was done to them.
    pub(super) fn change(&mut self, order: CableOrder) {
        for (link, cable) in LinkNumber::all(LINKS_MAX).zip(&mut self.0) {
            if order.concerns(link) {
                match order.change {
                    CableChange::State(state) => cable.state = state,
                    CableChange::Narrow(mtu) => cable.mtu = Some(mtu),
                    CableChange::Full => cable.mtu = None,
                }
            }
        }
    }

    /// Notes that all are plugged and as wide as at first.
    pub(super) fn mend(&mut self) {
        self.0.fill(Cable::WHOLE);
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Cable> {
        self.0.iter()
    }

    /// Whether nothing was done to them, or it was undone.
    pub(super) fn are_whole(&self) -> bool {
        self.0.iter().all(|cable| *cable == Cable::WHOLE)
    }
}

/// `up`, `down`, or what is wrong with which: `0 down, 1 mtu 1200`.
impl fmt::Display for Cables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.are_whole() {
            return f.write_str("up");
        }
        if self.0.iter().all(|cable| cable.state == LinkState::Down) {
            return f.write_str("down");
        }
        let mut comma = "";
        for (link, cable) in LinkNumber::all(LINKS_MAX).zip(&self.0) {
            if cable.state == LinkState::Down {
                write!(f, "{comma}{link} down")?;
                comma = ", ";
            }
            if let Some(mtu) = cable.mtu {
                write!(f, "{comma}{link} mtu {mtu}")?;
                comma = ", ";
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(text: &str) -> CableOrder {
        text.parse().expect("an order")
    }

    #[test]
    fn orders_for_cables_are_read_as_they_are_written() {
        for text in [
            "up",
            "down",
            "7 down",
            "0 up",
            "mtu 1200",
            "3 mtu 100",
            "mtu full",
            "1 mtu full",
        ] {
            assert_eq!(order(text).to_string(), text);
        }
        for text in [
            "",
            "8 up",
            "-1 up",
            "1",
            "1 sideways",
            "up 1",
            "mtu",
            "1 mtu 99",
            "1 mtu 65536",
            "1 mtu x",
            "1  up",
        ] {
            assert!(text.parse::<CableOrder>().is_err(), "{text}");
        }
    }

    #[test]
    fn cables_say_what_is_wrong_with_them() {
        let mut cables = Cables::new(2);
        assert_eq!(
            (cables.to_string().as_str(), cables.are_whole()),
            ("up", true)
        );
        cables.change(order("1 mtu 1200"));
        cables.change(order("1 down"));
        assert_eq!(cables.to_string(), "1 down, 1 mtu 1200");
        cables.change(order("down"));
        assert_eq!(cables.to_string(), "down");
        cables.change(order("up"));
        cables.change(order("mtu full"));
        assert!(cables.are_whole());
        cables.change(order("0 down"));
        assert_eq!(cables.to_string(), "0 down");
        cables.mend();
        assert!(cables.are_whole());
    }
}
