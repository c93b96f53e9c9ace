//! Hand-made records, each with one planted violation.

use super::{Coverage, Promise, Record, check, parse};

/// Two clients that pass together from ring 1.4 to 1.8 and end there in order.
const A: &str = "\
connect 1 10 1
view 1:10 - 1:10
ring 1 4 1,2
view 1:10,2:20 - 2:20
sent 0 100 aa
got 1 10 1 0 100 aa ok
got 2 20 1 0 200 bb ok
ring 1 8 1,2
sent 1 101 cc
got 1 10 1 1 101 cc ok
got 2 20 1 1 201 dd ok
end 2 2
";
const B: &str = "\
connect 2 20 1
view 1:10,2:20 - 2:20
ring 1 4 1,2
sent 0 200 bb
got 1 10 1 0 100 aa ok
got 2 20 1 0 200 bb ok
ring 1 8 1,2
sent 1 201 dd
got 1 10 1 1 101 cc ok
got 2 20 1 1 201 dd ok
end 2 2
";

fn record(name: &str, text: &str) -> Record {
    parse(name, text).unwrap()
}

fn judge(a: &str, b: &str) -> Result<Coverage, String> {
    check(&[record("a", a), record("b", b)], Promise::Full)
}

/// The violation that `a` and `b` show, which must be the only one and contain `expected`.
fn assert_violation(a: &str, b: &str, expected: &str) {
    let violations = judge(a, b).unwrap_err();
    assert!(violations.contains(expected), "{violations}");
}

/// `text` with the one line `from` replaced by `to`.
fn swap(text: &str, from: &str, to: &str) -> String {
    assert_eq!(text.matches(from).count(), 1, "{from}");
    text.replace(from, to)
}

#[test]
fn a_good_run_is_good_and_says_what_it_covered() {
    let expected = Coverage {
        deliveries: 8,
        passages: 1,
        ends: 2,
        disconnects: 0,
        torn: 0,
    };
    assert_eq!(judge(A, B), Ok(expected));
}

#[test]
fn a_line_of_no_known_form_is_an_error() {
    for line in [
        "got 1 10 1 0 100 aa fine",
        "connect 1 10",
        "view 1-10 - -",
        "ring 1 x 1,2",
        "",
    ] {
        assert!(parse("a", &format!("{line}\n")).is_err(), "{line}");
    }
}

#[test]
fn damage_is_found() {
    let b = swap(B, "got 1 10 1 0 100 aa ok", "got 1 10 1 0 100 aa damaged");
    assert_violation(A, &b, "b:5: 1:10#1/0 is damaged");
}

#[test]
fn a_body_that_is_not_what_was_sent_is_found() {
    let b = swap(B, "got 1 10 1 0 100 aa ok", "got 1 10 1 0 100 ab ok");
    assert_violation(A, &b, "is not what was sent");
}

#[test]
fn a_message_nobody_sent_is_found() {
    let b = swap(B, "end 2 2", "got 1 10 1 2 9 9 ok\nend 2 2");
    assert_violation(A, &b, "1:10#1/2 was never sent");
}

#[test]
fn a_message_taken_by_a_dying_daemon_may_exist() {
    let a = swap(A, "end 2 2", "disconnect CS_ERR_LIBRARY");
    let b = swap(B, "end 2 2", "got 1 10 1 2 9 9 ok\nend 2 2");
    assert_eq!(judge(&a, &b).unwrap().disconnects, 1);
}

#[test]
fn a_duplicate_is_found() {
    let line = "got 2 20 1 1 201 dd ok\n";
    let b = swap(B, line, &format!("{line}{line}"));
    assert_violation(A, &b, "2:20#1/1 came twice");
}

#[test]
fn a_duplicate_in_a_later_connection_is_found() {
    let again = "disconnect CS_ERR_LIBRARY\nconnect 2 20 2\nview 1:10,2:20 - 2:20\n\
                 got 1 10 1 1 101 cc ok\nend 0 0";
    assert_violation(A, &swap(B, "end 2 2", again), "1:10#1/1 came twice");
}

#[test]
fn a_sender_out_of_order_is_found() {
    let first = "got 1 10 1 0 100 aa ok\n";
    let b = swap(B, first, "");
    let b = swap(&b, "end 2 2", &format!("{first}end 2 2"));
    assert_violation(A, &b, "1:10#1/0 follows 1:10#1/1");
}

#[test]
fn a_gap_of_a_sender_is_found_while_it_is_a_member() {
    let a = swap(A, "got 1 10 1 1", "got 1 10 1 2");
    assert_violation(&a, B, "1:10#1/2 follows 1:10#1/0");
}

#[test]
fn a_gap_of_a_sender_that_was_away_is_fine() {
    let text = "connect 3 30 1\nview 1:10,3:30 - 3:30\nring 1 4 1,3\ngot 1 10 1 0 1 1 ok\n\
                view 3:30 1:10 -\nring 3 8 3\nview 1:10,3:30 - 1:10\nring 1 12 1,3\n\
                got 1 10 1 7 1 1 ok\nend 0 0\n";
    assert!(check(&[record("c", text)], Promise::Full).is_ok());
    let stayed = swap(text, "view 3:30 1:10 -\n", "");
    assert!(check(&[record("c", &stayed)], Promise::Full).is_err());
}

#[test]
fn an_own_message_that_never_comes_back_is_found() {
    let a = swap(A, "got 1 10 1 1 101 cc ok\n", "");
    let b = swap(B, "got 1 10 1 1 101 cc ok\n", "");
    assert_violation(&a, &b, "a:9: 1:10#1/1 was accepted and never came back");
}

#[test]
fn a_client_that_counts_wrong_is_found() {
    assert_violation(&swap(A, "end 2 2", "end 2 1"), B, "2 accepted, 1 came back");
    assert_violation(
        &swap(A, "end 2 2", "end 3 3"),
        B,
        "counted 3 accepted messages, listed 2",
    );
}

#[test]
fn another_order_at_another_client_is_found() {
    let (first, second) = ("got 1 10 1 0 100 aa ok\n", "got 2 20 1 0 200 bb ok\n");
    let b = swap(B, &format!("{first}{second}"), &format!("{second}{first}"));
    assert_violation(A, &b, "2:20#1/0 came after 1:10#1/0, before it at b");
}

#[test]
fn a_message_missing_at_one_of_two_that_pass_together_is_found() {
    // The sender itself is not among the compared clients, so nothing but virtual synchrony is broken.
    let line = "got 3 30 1 0 300 ee ok\nring 1 8 1,2";
    let a = swap(A, "ring 1 8 1,2", line);
    assert_violation(
        &a,
        B,
        "both went on to ring 1.8 but saw 3:30#1/0 (line 8) and nothing more",
    );
}

#[test]
fn a_message_seen_in_another_ring_is_found() {
    let line = "got 3 30 1 0 300 ee ok\n";
    let a = swap(A, "ring 1 8 1,2\n", &format!("{line}ring 1 8 1,2\n"));
    let b = swap(B, "ring 1 8 1,2\n", &format!("ring 1 8 1,2\n{line}"));
    assert_violation(&a, &b, "both went on to ring 1.8");
}

#[test]
fn what_is_lost_when_ways_part_is_no_violation() {
    let a = swap(
        A,
        "ring 1 8 1,2",
        "got 3 30 1 0 300 ee ok\nview 1:10 2:20 -\nring 1 8 1",
    );
    let a = swap(&a, "got 2 20 1 1 201 dd ok\n", "");
    let b = swap(B, "ring 1 8 1,2", "view 2:20 1:10 -\nring 2 8 2");
    let b = swap(&b, "got 1 10 1 1 101 cc ok\n", "");
    assert_eq!(judge(&a, &b).unwrap().passages, 0);
}

#[test]
fn a_gap_inside_the_last_ring_is_found() {
    let b = swap(B, "got 1 10 1 1", "got 3 30 1 4 1 1 ok\ngot 1 10 1 1");
    assert_violation(A, &b, "one saw 1:10#1/1 where the other saw 3:30#1/4");
}

#[test]
fn whose_connection_ends_may_have_seen_less() {
    let b = swap(B, "got 1 10 1 1 101 cc ok\n", "");
    let b = swap(&b, "got 2 20 1 1 201 dd ok\n", "");
    let b = swap(&b, "end 2 2", "disconnect CS_ERR_LIBRARY");
    assert!(judge(A, &b).is_ok());
}

#[test]
fn different_members_at_the_same_message_are_found() {
    let b = swap(
        B,
        "ring 1 8 1,2",
        "view 1:10,2:20,3:30 - 3:30\nring 1 8 1,2",
    );
    assert_violation(A, &b, "at 1:10#1/1 the group had different members");
}

#[test]
fn a_late_joiner_is_compared_from_its_join_on() {
    let join = "view 1:10,2:20 - 2:20";
    let a = swap(A, join, &format!("got 3 30 1 9 1 1 ok\n{join}"));
    assert_eq!(judge(&a, B).unwrap().passages, 1);
    let missed = swap(A, join, &format!("{join}\ngot 3 30 1 9 1 1 ok"));
    let missed = swap(
        &missed,
        "ring 1 8 1,2",
        "got 3 30 1 10 1 1 ok\nring 1 8 1,2",
    );
    assert!(judge(&missed, B).is_err());
}

#[test]
fn a_joiner_told_of_a_ring_before_it_is_installed_is_compared_from_the_first_common_message() {
    let b = swap(B, "sent 0 200 bb", "got 3 30 1 9 1 1 ok\nsent 0 200 bb");
    assert_eq!(judge(A, &b).unwrap().passages, 1);
}

#[test]
fn a_ring_told_before_the_join_counts() {
    let b = swap(B, "connect 2 20 1\n", "ring 1 4 1\nconnect 2 20 1\n");
    assert_eq!(judge(A, &b).unwrap().passages, 1);
}

/// Two clients of different rings meet in ring 1.12; a message that came from the old ring of `a` is torn.
const TORN_A: &str = "\
connect 1 10 1
view 1:10 - 1:10
ring 1 4 1
ring 1 8 1
view 1:10,2:20 - 2:20
ring 1 12 1,2
got 3 30 1 5 900 aa ok
got 3 30 1 6 900 bb ok
end 0 0
";
const TORN_B: &str = "\
connect 2 20 1
view 2:20 - 2:20
ring 2 4 2
view 1:10,2:20 - 1:10
ring 1 12 1,2
got 3 30 1 6 900 bb ok
end 0 0
";

#[test]
fn a_torn_message_is_what_corosync_does_and_we_do_not() {
    let records = [record("a", TORN_A), record("b", TORN_B)];
    assert_eq!(check(&records, Promise::Corosync).unwrap().torn, 1);
    let violations = check(&records, Promise::Full).unwrap_err();
    assert!(
        violations.contains("one saw 3:30#1/5 where the other saw 3:30#1/6"),
        "{violations}"
    );
}

#[test]
fn only_what_comes_before_the_first_common_message_can_be_torn() {
    let more = "got 3 30 1 5 900 aa ok\n";
    let a = swap(TORN_A, more, &format!("got 3 30 1 4 1 1 ok\n{more}"));
    let records = [record("a", &a), record("b", TORN_B)];
    assert_eq!(check(&records, Promise::Corosync).unwrap().torn, 2);
    let b = swap(
        TORN_B,
        "ring 1 12 1,2\n",
        "ring 1 12 1,2\ngot 3 30 1 4 1 1 ok\n",
    );
    let records = [record("a", &a), record("b", &b)];
    assert!(check(&records, Promise::Corosync).is_err());
}

#[test]
fn a_sender_that_one_client_never_hears_in_a_ring_may_be_torn_by_corosync_alone() {
    let a = swap(TORN_A, "end 0 0", "ring 1 16 1,2\nend 0 0");
    let b = swap(
        TORN_B,
        "got 3 30 1 6 900 bb ok\nend 0 0",
        "ring 1 16 1,2\nend 0 0",
    );
    let records = [record("a", &a), record("b", &b)];
    assert_eq!(check(&records, Promise::Corosync).unwrap().torn, 2);
    assert!(check(&records, Promise::Full).is_err());
}

#[test]
fn a_sender_of_whom_two_clients_hear_different_messages_is_not_torn() {
    let b = swap(TORN_B, "got 3 30 1 6 900 bb ok", "got 3 30 1 7 1 1 ok");
    let records = [record("a", TORN_A), record("b", &b)];
    assert!(check(&records, Promise::Corosync).is_err());
}

#[test]
fn nothing_is_torn_between_clients_of_one_ring() {
    let b = swap(TORN_B, "ring 2 4 2", "ring 1 8 2");
    let records = [record("a", TORN_A), record("b", &b)];
    assert!(check(&records, Promise::Corosync).is_err());
}
