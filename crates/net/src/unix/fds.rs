//! Descriptors that travel with bytes.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;

/// The most descriptors that one message carries here (Linux allows 253).
const MOST: usize = 64;

/// What [`UnixStream::recv_with_fds`](crate::UnixStream::recv_with_fds) received.
#[derive(Debug)]
#[non_exhaustive]
pub struct ReceivedFds {
    /// How many bytes there are; 0 is the end of the stream.
    pub bytes: usize,
    /// The descriptors that came with them, ours to close, closed in child processes.
    pub fds: Vec<OwnedFd>,
    /// More descriptors came than there was room for; the system has closed them.
    pub truncated: bool,
}

pub(super) fn send(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [const { MaybeUninit::uninit() }; rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if fds.len() > MOST || !control.push(SendAncillaryMessage::ScmRights(fds)) {
        let what = format!("at most {MOST} descriptors travel at once");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    }
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)?)
}

pub(super) fn recv(socket: impl AsFd, buf: &mut [u8]) -> io::Result<ReceivedFds> {
    let mut space = [const { MaybeUninit::uninit() }; rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let message = recvmsg(socket, &mut [IoSliceMut::new(buf)], &mut control, flags)?;
    let mut fds = Vec::new();
    for part in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = part {
            fds.extend(rights);
        }
    }
    let truncated = message.flags.contains(ReturnFlags::CTRUNC);
    Ok(ReceivedFds { bytes: message.bytes, fds, truncated })
}
