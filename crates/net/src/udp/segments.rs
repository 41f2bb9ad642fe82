//! Many datagrams in one call, cut up by the system (`UDP_SEGMENT` in udp(7)).

use socket2::{MsgHdr, SockAddr, SockRef};
use std::io::{self, IoSlice};
use std::net::SocketAddr;

/// Linux before 6.9 cuts no more (`UDP_MAX_SEGMENTS` in `include/linux/udp.h`).
const MOST: usize = 64;
/// What is cut up is at first one datagram, and has its limit.
const LONGEST: usize = 65_507;

/// What goes at once: whole datagrams, unless it is the end. None without a size.
pub(super) fn batch(bytes: &[u8], size: usize) -> Option<&[u8]> {
    if size == 0 {
        return None;
    }
    let count = (LONGEST / size).clamp(1, MOST);
    Some(&bytes[..bytes.len().min(count.saturating_mul(size))])
}

pub(super) fn no_size() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "datagrams of no bytes: give a size of at least 1")
}

pub(super) fn send(
    socket: &mio::net::UdpSocket,
    batch: &[u8],
    size: usize,
    to: Option<SocketAddr>,
) -> io::Result<usize> {
    const EIO: i32 = 5;
    const EINVAL: i32 = 22;
    let one = || match to {
        Some(to) => socket.send_to(&batch[..size.min(batch.len())], to),
        None => socket.send(&batch[..size.min(batch.len())]),
    };
    let Ok(segment) = u16::try_from(size) else { return one() };
    if batch.len() <= size {
        return one();
    }
    let (control, to) = (control(segment), to.map(SockAddr::from));
    let buffers = [IoSlice::new(batch)];
    let mut message = MsgHdr::new().with_buffers(&buffers).with_control(&control);
    if let Some(to) = &to {
        message = message.with_addr(to);
    }
    match SockRef::from(socket).sendmsg(&message, 0) {
        // No offload in this system, on this device, or for datagrams longer than its packets.
        Err(error) if matches!(error.raw_os_error(), Some(EIO | EINVAL)) => one(),
        answer => answer,
    }
}

const HEAD: usize = size_of::<usize>() + 8;
const CONTROL: usize = (HEAD + 2).next_multiple_of(size_of::<usize>());

/// The control message that says where to cut (`struct cmsghdr` in cmsg(3)).
fn control(segment: u16) -> [u8; CONTROL] {
    const SOL_UDP: i32 = 17;
    const UDP_SEGMENT: i32 = 103;
    let mut control = [0; CONTROL];
    let fields = [
        &(HEAD + 2).to_ne_bytes()[..],
        &SOL_UDP.to_ne_bytes(),
        &UDP_SEGMENT.to_ne_bytes(),
        &segment.to_ne_bytes(),
    ];
    let bytes = fields.into_iter().flatten();
    for (to, byte) in control.iter_mut().zip(bytes) {
        *to = *byte;
    }
    control
}
