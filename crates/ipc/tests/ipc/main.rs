//! The server with every sort of client: ours, C's, and hostile ones.

#[cfg(test)]
mod flight;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod libqb;
#[cfg(test)]
mod rust_client;
#[cfg(test)]
mod support;
