//! Headers, statuses and what all answers share.

use proptest::prelude::*;

use super::{Answer, CsError, Done, Handle, Number, RequestHeader, ResponseHeader};
use crate::codec::{Decode, DecodeError, Encode, Reader};
use crate::testing::{layout, pin};

#[test]
fn headers() {
    pin!(
        RequestHeader,
        RequestHeader {
            id: RequestHeader::DISCONNECT,
            size: 0x0102_0304,
        },
        16,
        &[(0, &[0xfd, 0xff, 0xff, 0xff]), (8, &[4, 3, 2, 1])]
    );
    pin!(
        ResponseHeader,
        ResponseHeader::new(9, 0x0102, Err(CsError::Security)),
        24,
        &[(0, &[9]), (8, &[2, 1]), (16, &[100])]
    );
    layout(
        &ResponseHeader::refusal(CsError::TryAgain),
        24,
        &[(8, &[24]), (16, &[6])],
    );
}

#[test]
fn a_size_must_be_there() {
    let open = |size: u32, present: usize| {
        let mut bytes = RequestHeader { id: 1, size }.to_vec();
        bytes.resize(present, 7);
        let mut r = Reader::new(&bytes);
        RequestHeader::open(&mut r).map(|(_, body)| (body.rest().len(), r.rest().len()))
    };
    assert_eq!(open(16, 16), Ok((0, 0)));
    assert_eq!(open(20, 30), Ok((4, 10)));
    assert_eq!(open(30, 30), Ok((14, 0)));
    assert!(matches!(open(31, 30), Err(DecodeError::Truncated { .. })));
    assert!(matches!(
        open(u32::MAX, 30),
        Err(DecodeError::Truncated { .. })
    ));
    assert!(matches!(open(15, 30), Err(DecodeError::BadValue { .. })));
    assert!(matches!(open(0, 30), Err(DecodeError::BadValue { .. })));
}

#[test]
fn codes_are_those_of_corotypes() {
    let codes: Vec<i32> = CsError::ALL.iter().map(|error| error.code()).collect();
    let expected: Vec<i32> = (2..=28).chain([30, 100]).collect();
    assert_eq!(codes, expected);
    for error in CsError::ALL {
        assert_eq!(CsError::from_code(error.code()), Some(error));
        assert_eq!(CsError::status(error.code()), Err(error));
        assert_eq!(CsError::code_of(Err(error)), error.code());
        assert!(error.to_string().starts_with("CS_ERR_"));
    }
    assert_eq!(CsError::status(1), Ok(()));
    assert_eq!(CsError::code_of(Ok(())), 1);
    for nothing in [i32::MIN, 0, 1, 29, 31, 101] {
        assert_eq!(CsError::from_code(nothing), None);
    }
    assert_eq!(CsError::status(29), Err(CsError::Library));
}

#[test]
fn a_request_that_does_not_decode_has_a_code() {
    let too_long = DecodeError::TooMany {
        what: "group name length",
        count: 129,
        max: 128,
    };
    assert_eq!(CsError::from(too_long), CsError::NameTooLong);
    let cut = DecodeError::Truncated { what: "pid" };
    assert_eq!(CsError::from(cut), CsError::InvalidParam);
}

#[test]
fn plain_answers() {
    pin!(
        Answer<Done<18>>,
        Answer::from(Ok(())),
        24,
        &[(0, &[18]), (8, &[24]), (16, &[1])]
    );
    pin!(
        Answer<Done<18>>,
        Answer::from(Err(CsError::Interrupt)),
        24,
        &[(0, &[18]), (8, &[24]), (16, &[16])]
    );
    pin!(
        Answer<Handle<4>>,
        Answer(Ok(Handle(0x0102_0304_0506_0708))),
        32,
        &[
            (0, &[4]),
            (8, &[32]),
            (16, &[1]),
            (24, &[8, 7, 6, 5, 4, 3, 2, 1]),
        ]
    );
    pin!(
        Answer<Number<7>>,
        Answer(Ok(Number(0x0102_0304))),
        32,
        &[(0, &[7]), (8, &[32]), (16, &[1]), (24, &[4, 3, 2, 1])]
    );
}

#[test]
fn a_refusal_is_understood_whatever_was_asked() {
    let refusal = ResponseHeader::refusal(CsError::TryAgain);
    let answer = Answer::<Handle<4>>::decode(&mut Reader::new(&refusal));
    assert_eq!(answer, Ok(Answer(Err(CsError::TryAgain))));
    let failed = Answer::<Handle<4>>(Err(CsError::NoSections)).to_vec();
    layout(&failed, 32, &[(0, &[4]), (8, &[32]), (16, &[27])]);
}

#[test]
fn the_answer_to_another_question_is_an_error() {
    let bytes = Answer(Ok(Handle::<4>(1))).to_vec();
    assert!(Answer::<Handle<7>>::decode(&mut Reader::new(&bytes)).is_err());
}

proptest! {
    #[test]
    fn statuses_survive(code in any::<i32>()) {
        let status = CsError::status(code);
        prop_assert_eq!(CsError::status(CsError::code_of(status)), status);
    }
}
