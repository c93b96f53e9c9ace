//! The shared key, and the way from one to the next (corosync `totemknet.c:totemknet_set_knet_crypto,
//! totemknet_crypto_reconfigure_phase`, v3.1.7).

use ferrosync_knet::crypto::{ClearTraffic, Instance, Slot, Suite};
use ferrosync_knet::handle::Knet;
use ferrosync_wire::Instant;

use crate::config::CryptoConfig;
use crate::reload::{CryptoChange, CryptoPhase};
use crate::transport::SharedKey;

/// What packets are sealed with, and what they will be sealed with soon.
#[derive(Debug)]
pub(super) struct Keys {
    suite: Option<Suite>,
    key: Option<SharedKey>,
    /// Where the newest key is, or would be if there was one.
    slot: Slot,
}

impl Keys {
    /// Begins with the key of a configuration, if there is one.
    pub(super) fn new(
        knet: &mut Knet,
        now: Instant,
        config: Option<&CryptoConfig>,
        key: Option<SharedKey>,
    ) -> Self {
        let keys = Self {
            suite: config.map(suite),
            key,
            slot: Slot::One,
        };
        if let Some(instance) = keys.instance() {
            knet.set_key(keys.slot, Some(instance))
                .and_then(|()| knet.use_key(now, Some(keys.slot)))
                .expect("a new one has two free slots");
            knet.set_clear_traffic(ClearTraffic::Refused);
        }
        keys
    }

    /// Loads what a configuration asks for into the free slot, if it is another one.
    pub(super) fn load(
        &mut self,
        knet: &mut Knet,
        config: Option<&CryptoConfig>,
        key: Option<SharedKey>,
    ) -> CryptoChange {
        let suite = config.map(suite);
        if suite == self.suite && key == self.key {
            return CryptoChange::None;
        }
        (self.suite, self.key) = (suite, key);
        self.slot = match knet.key_in_use() {
            Some(Slot::One) => Slot::Two,
            Some(Slot::Two) => Slot::One,
            None => self.slot,
        };
        if suite.is_none() {
            knet.set_clear_traffic(ClearTraffic::Allowed);
        }
        knet.set_key(self.slot, self.instance())
            .expect("the slot that does not seal");
        CryptoChange::Loaded
    }

    /// Takes one step.
    pub(super) fn step(&mut self, knet: &mut Knet, now: Instant, phase: CryptoPhase) {
        let newest = self.suite.map(|_| self.slot);
        match phase {
            CryptoPhase::Activate => knet.use_key(now, newest).expect("it was loaded"),
            // Where another reload came in between, the key in use is the one before: it goes when its turn comes.
            CryptoPhase::Cleanup if knet.key_in_use() != newest => {}
            CryptoPhase::Cleanup => {
                let old = match self.slot {
                    Slot::One => Slot::Two,
                    Slot::Two => Slot::One,
                };
                knet.set_key(old, None).expect("it seals no more");
                if newest.is_some() {
                    knet.set_clear_traffic(ClearTraffic::Refused);
                }
            }
        }
    }

    fn instance(&self) -> Option<Instance> {
        let suite = self.suite?;
        let key = self.key.as_ref().expect("the host read the key");
        Some(Instance::new(suite, key))
    }
}

const fn suite(config: &CryptoConfig) -> Suite {
    match config.cipher {
        Some(cipher) => Suite::encrypted(cipher, config.hash),
        None => Suite::signed(config.hash),
    }
}
