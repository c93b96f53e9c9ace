//! The ring over ordinary memory: order, wrap-around, bounds, two threads, and a peer that writes anything
//! anywhere. All of it runs under miri too.

use core::sync::atomic::AtomicBool;
use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;

/// A ring in the heap; the second mapping is arithmetic.
#[derive(Debug)]
struct Heap {
    header: [AtomicU32; 5],
    semaphore: AtomicU64,
    data: Box<[AtomicU32]>,
    lost: AtomicBool,
    wakes: AtomicU32,
}

impl Heap {
    fn new(words: u32) -> Arc<Self> {
        let data = (0..words).map(|_| AtomicU32::new(0)).collect();
        Arc::new(Self {
            header: Default::default(),
            semaphore: AtomicU64::new(0),
            data,
            lost: AtomicBool::new(false),
            wakes: AtomicU32::new(0),
        })
    }

    fn byte(&self, offset: usize) -> (&AtomicU32, u32) {
        let offset = offset % (self.data.len() * 4);
        (
            &self.data[offset / 4],
            8 * u32::try_from(offset % 4).unwrap(),
        )
    }
}

impl SharedMemory for Arc<Heap> {
    fn header(&self, word: HeaderWord) -> &AtomicU32 {
        &self.header[word as usize]
    }

    fn semaphore(&self) -> &AtomicU64 {
        &self.semaphore
    }

    fn word_count(&self) -> u32 {
        u32::try_from(self.data.len()).unwrap()
    }

    fn word(&self, index: u32) -> &AtomicU32 {
        &self.data[index as usize]
    }

    fn copy_in(&self, offset: usize, bytes: &[u8]) {
        assert!(offset + bytes.len() <= 2 * 4 * self.data.len());
        for (i, &byte) in bytes.iter().enumerate() {
            let (word, shift) = self.byte(offset + i);
            let others = word.load(Ordering::Relaxed) & !(0xff << shift);
            word.store(others | u32::from(byte) << shift, Ordering::Relaxed);
        }
    }

    fn copy_out(&self, offset: usize, len: usize, into: &mut Vec<u8>) {
        assert!(offset + len <= 2 * 4 * self.data.len());
        for i in 0..len {
            let (word, shift) = self.byte(offset + i);
            let [byte, ..] = (word.load(Ordering::Relaxed) >> shift).to_le_bytes();
            into.push(byte);
        }
    }

    fn wake(&self) {
        self.wakes.fetch_add(1, Ordering::Relaxed);
    }

    fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

fn pair(words: u32) -> (Producer<Arc<Heap>>, Consumer<Arc<Heap>>, Arc<Heap>) {
    let heap = Heap::new(words);
    (
        Producer::new(heap.clone()),
        Consumer::new(heap.clone()),
        heap,
    )
}

fn pop(consumer: &mut Consumer<Arc<Heap>>) -> Result<Option<Vec<u8>>, RingCorrupt> {
    let Some(chunk) = consumer.peek()? else {
        return Ok(None);
    };
    let mut out = Vec::new();
    consumer.take(chunk, &mut out)?;
    Ok(Some(out))
}

#[test]
fn a_chunk_has_the_layout_of_c() {
    let (mut producer, mut consumer, heap) = pair(16);
    producer.try_push(&[b"abc", b"de"]).unwrap();
    let words: Vec<u32> = heap.data[..4]
        .iter()
        .map(|word| word.load(Ordering::Relaxed))
        .collect();
    assert_eq!(words, [5, 0xA1A1_A1A1, 0x6463_6261, 0x65]);
    assert_eq!(heap.header[0].load(Ordering::Relaxed), 4);
    assert_eq!(heap.semaphore.load(Ordering::Relaxed), 1);

    assert_eq!(pop(&mut consumer), Ok(Some(b"abcde".to_vec())));
    assert_eq!(heap.data[0].load(Ordering::Relaxed), 0);
    assert_eq!(heap.data[1].load(Ordering::Relaxed), 0xD0D0_D0D0);
    assert_eq!(heap.header[1].load(Ordering::Relaxed), 4);
    assert_eq!(heap.semaphore.load(Ordering::Relaxed), 0);
    assert_eq!(pop(&mut consumer), Ok(None));
}

#[test]
fn header_words_wrap_one_by_one() {
    let (mut producer, mut consumer, _) = pair(8);
    // Seven words put the next chunk's length into the last word and its magic into the first.
    producer.try_push(&[&[1; 20]]).unwrap();
    assert_eq!(pop(&mut consumer), Ok(Some(vec![1; 20])));
    producer.try_push(&[&[2; 20]]).unwrap();
    let chunk = consumer.peek().unwrap().unwrap();
    assert_eq!(consumer.front::<6>(&chunk), Some([2; 6]));
    assert_eq!(consumer.front::<21>(&chunk), None);
    assert_eq!(pop(&mut consumer), Ok(Some(vec![2; 20])));
}

#[test]
fn a_full_ring_takes_nothing_and_an_oversized_message_never_fits() {
    let (mut producer, mut consumer, _) = pair(8);
    assert_eq!(producer.capacity(), 20);
    assert_eq!(producer.try_push(&[&[0; 21]]), Err(PushError::TooBig));
    producer.try_push(&[&[7; 9]]).unwrap();
    assert_eq!(producer.room(), Ok(0));
    assert_eq!(producer.try_push(&[&[]]), Err(PushError::Full));
    assert_eq!(pop(&mut consumer), Ok(Some(vec![7; 9])));
    assert_eq!(producer.room(), Ok(20));
    producer.try_push(&[&[8; 20]]).unwrap();
    assert_eq!(producer.try_push(&[&[]]), Err(PushError::Full));
}

#[test]
fn only_a_sleeping_reader_is_woken() {
    let (mut producer, _consumer, heap) = pair(64);
    producer.try_push(&[b"x"]).unwrap();
    assert_eq!(heap.wakes.load(Ordering::Relaxed), 0);
    heap.semaphore
        .fetch_add(1 << SLEEPERS_SHIFT, Ordering::Relaxed);
    producer.try_push(&[b"y"]).unwrap();
    assert_eq!(heap.wakes.load(Ordering::Relaxed), 1);
}

#[test]
fn lies_of_the_reader_are_found() {
    let (mut producer, _consumer, heap) = pair(16);
    heap.header[1].store(16, Ordering::Relaxed);
    assert_eq!(producer.room(), Err(RingCorrupt));
    assert_eq!(producer.try_push(&[b"x"]), Err(PushError::Corrupt));
    assert_eq!(heap.semaphore.load(Ordering::Relaxed), 0);
}

#[test]
fn lies_of_the_writer_are_found() {
    let (mut producer, mut consumer, heap) = pair(16);
    heap.semaphore.store(1, Ordering::Relaxed);
    assert_eq!(pop(&mut consumer), Err(RingCorrupt), "no chunk is there");
    heap.semaphore.store(0, Ordering::Relaxed);

    producer.try_push(&[b"x"]).unwrap();
    heap.data[0].store(53, Ordering::Relaxed);
    assert_eq!(pop(&mut consumer), Err(RingCorrupt), "longer than a ring");
    heap.data[0].store(u32::MAX, Ordering::Relaxed);
    assert_eq!(pop(&mut consumer), Err(RingCorrupt));

    heap.data[0].store(1, Ordering::Relaxed);
    let chunk = consumer.peek().unwrap().unwrap();
    heap.semaphore.store(0, Ordering::Relaxed);
    let taken = consumer.take(chunk, &mut Vec::new());
    assert_eq!(taken, Err(RingCorrupt), "taken back after the look");
}

#[test]
fn lost_memory_is_reported_by_both_sides() {
    let (mut producer, mut consumer, heap) = pair(16);
    producer.try_push(&[b"x"]).unwrap();
    heap.lost.store(true, Ordering::Relaxed);
    assert_eq!(pop(&mut consumer), Err(RingCorrupt));
    assert_eq!(producer.try_push(&[b"x"]), Err(PushError::Corrupt));
}

#[test]
fn two_threads_see_every_message_in_order() {
    const MESSAGES: u32 = if cfg!(miri) { 50 } else { 20_000 };
    let (mut producer, mut consumer, _) = pair(64);
    let writer = std::thread::spawn(move || {
        for i in 0..MESSAGES {
            let body = vec![i.to_le_bytes()[0]; 4 + i as usize % 90];
            while producer.try_push(&[&i.to_le_bytes(), &body]) == Err(PushError::Full) {
                std::thread::yield_now();
            }
        }
    });
    for i in 0..MESSAGES {
        let message = loop {
            match pop(&mut consumer).unwrap() {
                Some(message) => break message,
                None => std::thread::yield_now(),
            }
        };
        assert_eq!(&message[..4], &i.to_le_bytes());
        assert_eq!(message.len(), 8 + i as usize % 90);
        assert!(message[4..].iter().all(|&b| b == i.to_le_bytes()[0]));
    }
    writer.join().unwrap();
}

#[derive(Clone, Debug)]
enum Step {
    Push(Vec<u8>),
    Pop,
    /// The peer writes a word: where (header, semaphore or data), and what.
    Scribble(usize, u32),
}

fn step_strategy(scribble: u32) -> impl Strategy<Value = Step> {
    let word = prop_oneof![
        any::<u32>(),
        0..80_u32,
        Just(MAGIC_COMMITTED),
        Just(MAGIC_ALLOC)
    ];
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..120).prop_map(Step::Push),
        4 => Just(Step::Pop),
        scribble => (any::<usize>(), word).prop_map(|(at, value)| Step::Scribble(at, value)),
    ]
}

fn scribble(heap: &Heap, at: usize, value: u32) {
    match at % (heap.data.len() + 7) {
        i @ 0..5 => heap.header[i].store(value, Ordering::Relaxed),
        5 => heap.semaphore.store(u64::from(value), Ordering::Relaxed),
        6 => heap
            .semaphore
            .store(u64::from(value) << 32, Ordering::Relaxed),
        i => heap.data[i - 7].store(value, Ordering::Relaxed),
    }
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: if cfg!(miri) { 4 } else { 512 },
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn it_is_a_queue(
        words in 8..70_u32,
        steps in proptest::collection::vec(step_strategy(0), 1..200),
    ) {
        let (mut producer, mut consumer, heap) = pair(words);
        let mut model = VecDeque::new();
        for step in steps {
            match step {
                Step::Push(bytes) => match producer.try_push(&[&bytes]) {
                    Ok(()) => model.push_back(bytes),
                    Err(PushError::TooBig) => prop_assert!(bytes.len() > producer.capacity()),
                    Err(PushError::Full) => prop_assert!(!model.is_empty()),
                    Err(PushError::Corrupt) => prop_assert!(false, "nobody lies here"),
                },
                Step::Pop => prop_assert_eq!(pop(&mut consumer), Ok(model.pop_front())),
                Step::Scribble(..) => {}
            }
            prop_assert_eq!(heap.semaphore.load(Ordering::Relaxed), model.len() as u64);
        }
    }

    /// Neither side panics, reads or writes outside, or hands out more than a ring can hold.
    #[test]
    fn a_scribbling_peer_gets_nowhere(
        words in 8..70_u32,
        steps in proptest::collection::vec(step_strategy(4), 1..300),
    ) {
        let (mut producer, mut consumer, heap) = pair(words);
        for step in steps {
            match step {
                Step::Push(bytes) => {
                    let result = producer.try_push(&[&bytes]);
                    prop_assert!(result.is_err() || bytes.len() <= producer.capacity());
                }
                Step::Pop => {
                    if let Ok(Some(message)) = pop(&mut consumer) {
                        prop_assert!(message.len() <= producer.capacity());
                    }
                }
                Step::Scribble(at, value) => scribble(&heap, at, value),
            }
        }
    }
}
