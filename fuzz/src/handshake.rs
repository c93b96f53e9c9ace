//! The first two messages of a client's connection.

use ferrosync_ipc::handshake::{ConnectRequest, ConnectResponse, MAX_MSG_SIZE_LIMIT, MIN_MSG_SIZE};

/// The server's reader of requests and the client's reader of responses.
///
/// Inputs shorter than a response are continued with zeros, so that small inputs reach all of its fields.
pub fn ipc_handshake(data: &[u8]) {
    if let Some(bytes) = data.first_chunk()
        && let Ok(request) = ConnectRequest::parse(bytes)
    {
        let agreed = request.agreed_max_msg_size();
        assert!((MIN_MSG_SIZE..=MAX_MSG_SIZE_LIMIT).contains(&agreed));
        assert_eq!(ConnectRequest::parse(&request.encode()), Ok(request));
    }
    response(data);
    if data.len() < ConnectResponse::LEN {
        let mut whole = data.to_vec();
        whole.resize(ConnectResponse::LEN, 0);
        response(&whole);
    }
}

fn response(data: &[u8]) {
    let Ok(response) = ConnectResponse::parse(data) else {
        return;
    };
    if let ConnectResponse::Accepted(accepted) = &response {
        assert!((MIN_MSG_SIZE..=MAX_MSG_SIZE_LIMIT).contains(&accepted.max_msg_size));
    }
    assert_eq!(ConnectResponse::parse(&response.encode()), Ok(response));
}
