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
    /// What is tried in the free slot, though no reload brought it yet.
    foreseen: Option<(Suite, SharedKey)>,
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
            foreseen: None,
        };
        if let Some(instance) = keys.instance() {
            knet.set_key(now, keys.slot, Some(instance))
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
        now: Instant,
        config: Option<&CryptoConfig>,
        key: Option<SharedKey>,
    ) -> CryptoChange {
        let suite = config.map(suite);
        if suite == self.suite && key == self.key {
            self.forget_foreseen(knet, now);
            return CryptoChange::None;
        }
        (self.suite, self.key) = (suite, key);
        self.slot = self.free_slot(knet);
        if suite.is_none() {
            knet.set_clear_traffic(ClearTraffic::Allowed);
        }
        // What is known of other nodes stays known of a key that is tried already.
        let tried = self.foreseen.take().is_some_and(|(suite, key)| {
            (self.suite, self.key.as_ref()) == (Some(suite), Some(&key))
        });
        if !tried {
            self.prepare(knet, now, self.instance(), self.newest());
        }
        CryptoChange::Loaded
    }

    /// Tries what a configuration asks for, which no reload brought yet; whether that is another key. Nothing that is
    /// encrypted becomes readable ahead of its time.
    pub(super) fn foresee(
        &mut self,
        knet: &mut Knet,
        now: Instant,
        config: &CryptoConfig,
        key: SharedKey,
    ) -> bool {
        let parts = (suite(config), key);
        let present = self.suite == Some(parts.0) && self.key.as_ref() == Some(&parts.1);
        // While one is loaded and not yet used, no slot is free.
        let changing = knet.key_in_use() != self.newest();
        let bares = parts.0.cipher().is_none() && self.suite.is_some_and(|s| s.cipher().is_some());
        if present || changing || bares || self.foreseen.as_ref() == Some(&parts) {
            return false;
        }
        let slot = self.free_slot(knet);
        let instance = Instance::new(parts.0, &parts.1);
        self.prepare(knet, now, Some(instance), Some(slot));
        self.foreseen = Some(parts);
        true
    }

    /// Tries it no longer.
    pub(super) fn forget_foreseen(&mut self, knet: &mut Knet, now: Instant) {
        if self.foreseen.take().is_some() {
            knet.set_key(now, self.free_slot(knet), None)
                .expect("the slot that does not seal");
        }
    }

    /// Fills or empties the free slot, and has the slot `seals` used for those who open it.
    fn prepare(
        &self,
        knet: &mut Knet,
        now: Instant,
        instance: Option<Instance>,
        seals: Option<Slot>,
    ) {
        knet.set_key(now, self.free_slot(knet), instance)
            .expect("the slot that does not seal");
        knet.prepare_key(now, seals)
            .expect("it was loaded, or there is none");
    }

    const fn free_slot(&self, knet: &Knet) -> Slot {
        match knet.key_in_use() {
            Some(slot) => slot.other(),
            None => self.slot,
        }
    }

    /// Takes one step.
    pub(super) fn step(&mut self, knet: &mut Knet, now: Instant, phase: CryptoPhase) {
        let newest = self.newest();
        match phase {
            CryptoPhase::Activate => knet.use_key(now, newest).expect("it was loaded"),
            // Where another reload came in between, the key in use is the one before: it goes when its turn comes.
            CryptoPhase::Cleanup if knet.key_in_use() != newest => {}
            CryptoPhase::Cleanup => {
                let old = self.slot.other();
                // What is tried may have taken the old key's place.
                if self.foreseen.is_none() || self.free_slot(knet) != old {
                    knet.set_key(now, old, None).expect("it seals no more");
                }
                if newest.is_some() {
                    knet.set_clear_traffic(ClearTraffic::Refused);
                }
            }
        }
    }

    /// The slot of the newest key, if that is one.
    fn newest(&self) -> Option<Slot> {
        self.suite.map(|_| self.slot)
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
