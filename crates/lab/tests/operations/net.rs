//! Sockets of the virtual network.

use crate::probe::{Entry, MS, operation};
use asupersync_combinator::timeout;
use asupersync_core::{CancelReason, Cx, Error};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_net::{
    ConnectOptions, ListenOptions, TcpListener, TcpStream, UdpOptions, UdpSocket, UnixDatagram,
    UnixListener, UnixStream, resolve,
};

const SERVER: &str = "10.0.0.9:80";
const CLIENT: &str = "10.0.0.1";

pub(crate) fn list() -> Vec<Entry> {
    let mut list = Vec::new();
    listening(&mut list);
    connecting(&mut list);
    datagrams(&mut list);
    unix(&mut list);
    list
}

/// Answers each connection with one byte.
async fn serve(cx: &Cx, listener: TcpListener) -> Result<(), Error> {
    loop {
        let (mut stream, _) = listener.accept(cx).await?;
        // A client that was interrupted has gone.
        let _ = stream.write_all(cx, b"!").await;
        let _ = stream.close(cx).await;
    }
}

async fn ask(cx: &Cx, stream: std::io::Result<TcpStream>) -> Result<(), Error> {
    let mut answer = [0; 1];
    stream?.read_exact(cx, &mut answer).await?;
    assert_eq!(&answer, b"!");
    Ok(())
}

fn listening(list: &mut Vec<Entry>) {
    operation!(list, "net::tcp::listener::TcpListener::bind", "a free address", 1, |cx, case| {
        let listener = case.subject(cx, TcpListener::bind(cx, SERVER)).await;
        drop(listener);
        TcpListener::bind(cx, SERVER).await?;
    });
    operation!(
        list,
        "net::tcp::listener::TcpListener::bind_with",
        "a free address",
        1,
        |cx, case| {
            let options = ListenOptions::new().backlog(1);
            let listener = case.subject(cx, TcpListener::bind_with(cx, SERVER, &options)).await;
            drop(listener);
            TcpListener::bind(cx, SERVER).await?;
        }
    );
    operation!(
        list,
        "net::tcp::listener::TcpListener::accept",
        "a client comes later",
        1,
        |cx, case| {
            let listener = TcpListener::bind(cx, SERVER).await?;
            let mut client = cx.spawn(async |cx: &Cx| {
                cx.sleep(MS).await?;
                ask(cx, TcpStream::connect(cx, SERVER).await).await
            });
            let accepted = case.subject(cx, listener.accept(cx)).await;
            let (mut stream, _) = match accepted {
                Some(Ok(accepted)) => accepted,
                // Interrupted, it has taken no connection.
                _ => listener.accept(cx).await?,
            };
            stream.write_all(cx, b"!").await?;
            stream.close(cx).await?;
            client.join(cx).await?.into_result()?;
        }
    );
}

fn connecting(list: &mut Vec<Entry>) {
    macro_rules! connects {
        ($name:literal, |$cx:ident| $connect:expr) => {
            operation!(list, $name, "to a server at work", 1, |cx, case| {
                let listener = TcpListener::bind(cx, SERVER).await?;
                let mut server = cx.spawn(async move |cx: &Cx| serve(cx, listener).await);
                let connected = {
                    let $cx = cx;
                    case.subject(cx, $connect).await
                };
                match connected {
                    Some(Ok(stream)) => ask(cx, Ok(stream)).await?,
                    _ => assert!(case.struck()),
                }
                ask(cx, TcpStream::connect(cx, SERVER).await).await?;
                server.cancel(CancelReason::user("every client is served"));
                let _ = server.join(cx).await?;
            });
        };
    }
    connects!("net::tcp::connect::TcpStream::connect", |cx| TcpStream::connect(cx, SERVER));
    connects!("net::tcp::connect::TcpStream::connect_from", |cx| TcpStream::connect_from(
        cx,
        CLIENT.parse().expect("an address"),
        SERVER
    ));
    connects!("net::tcp::connect::TcpStream::connect_with", |cx| async {
        TcpStream::connect_with(cx, SERVER, &ConnectOptions::new().timeout(50 * MS)).await
    });
    connects!("net::tcp::connect::TcpStream::connect_any", |cx| async {
        let addresses = ["10.0.0.8:80", SERVER].map(|text| text.parse().expect("an address"));
        TcpStream::connect_any(cx, addresses, &ConnectOptions::new()).await
    });
    connects!("net::tcp::connect::TcpStream::connect_name", |cx| async {
        TcpStream::connect_name(cx, SERVER, &ConnectOptions::new()).await
    });
    operation!(list, "net::resolve::resolve", "an address in text", 1, |cx, case| {
        let found = case.subject(cx, resolve(cx, SERVER)).await;
        assert!(case.struck() || matches!(found, Some(Ok(all)) if all.len() == 1));
        assert_eq!(resolve(cx, SERVER).await?.len(), 1);
    });
}

const HERE: &str = "10.0.0.9:53";
const THERE: &str = "10.0.0.2:7";

/// Three datagrams are sent; the subject and those who come after it get each at most once, in order, and
/// all of them, for this network loses none.
macro_rules! gets {
    ($list:ident, $name:literal, $keeps:literal, |$socket:ident, $cx:ident, $buf:ident| $receive:expr) => {
        operation!($list, $name, "sent one by one", 1, |cx, case| {
            let here = UdpSocket::bind(cx, HERE).await?;
            let there = UdpSocket::bind(cx, THERE).await?;
            here.connect(THERE)?;
            let mut sender = cx.spawn(async move |cx: &Cx| {
                there.connect(HERE)?;
                for n in 0..3_u8 {
                    there.send(cx, &[n]).await?;
                    cx.sleep(20 * MS).await?;
                }
                Ok::<_, Error>(())
            });
            let mut got = Vec::new();
            let mut buf = [9; 4];
            let first = {
                let ($socket, $cx, $buf) = (&here, cx, &mut buf);
                case.subject(cx, async { Ok::<_, std::io::Error>($receive) }).await
            };
            if let Some(Ok(1)) = first {
                if !$keeps {
                    got.push(buf[0]);
                }
            }
            while let Ok(n) = timeout(cx, 200 * MS, here.recv(cx, &mut buf)).await {
                assert_eq!(n?, 1);
                got.push(buf[0]);
            }
            sender.join(cx).await?.into_result()?;
            assert_eq!(got, [0, 1, 2]);
        });
    };
}

/// The subject sends one datagram; it arrives whole or not at all, and the next one does.
macro_rules! puts {
    ($list:ident, $name:literal, |$socket:ident, $cx:ident| $send:expr) => {
        operation!($list, $name, "to a socket that is there", 1, |cx, case| {
            let here = UdpSocket::bind(cx, HERE).await?;
            let there = UdpSocket::bind(cx, THERE).await?;
            there.connect(HERE)?;
            let sent = {
                let ($socket, $cx) = (&there, cx);
                case.subject(cx, $send).await
            };
            assert!(case.struck() || matches!(sent, Some(Ok(3))));
            there.send(cx, b"next").await?;
            let (mut all, mut buf) = (Vec::new(), [0; 9]);
            while let Ok(n) = timeout(cx, 200 * MS, here.recv(cx, &mut buf)).await {
                all.push(buf[..n?].to_vec());
            }
            assert!(
                all == [b"one".to_vec(), b"next".to_vec()] || (case.struck() && all == [b"next"])
            );
        });
    };
}

fn datagrams(list: &mut Vec<Entry>) {
    operation!(list, "net::udp::UdpSocket::bind", "a free address", 1, |cx, case| {
        drop(case.subject(cx, UdpSocket::bind(cx, HERE)).await);
        UdpSocket::bind(cx, HERE).await?;
    });
    operation!(list, "net::udp::UdpSocket::bind_with", "a free address", 1, |cx, case| {
        let options = UdpOptions::new();
        drop(case.subject(cx, UdpSocket::bind_with(cx, HERE, &options)).await);
        UdpSocket::bind(cx, HERE).await?;
    });
    gets!(list, "net::udp::UdpSocket::recv", false, |socket, cx, buf| socket.recv(cx, buf).await?);
    gets!(list, "net::udp::UdpSocket::recv_from", false, |socket, cx, buf| {
        socket.recv_from(cx, buf).await?.0
    });
    gets!(list, "net::udp::UdpSocket::peek", true, |socket, cx, buf| socket.peek(cx, buf).await?);
    gets!(list, "net::udp::UdpSocket::peek_from", true, |socket, cx, buf| {
        socket.peek_from(cx, buf).await?.0
    });
    puts!(list, "net::udp::UdpSocket::send", |socket, cx| socket.send(cx, b"one"));
    puts!(list, "net::udp::UdpSocket::send_to", |socket, cx| {
        socket.send_to(cx, b"one", HERE.parse().expect("an address"))
    });
    puts!(list, "net::udp::UdpSocket::send_segments", |socket, cx| {
        socket.send_segments(cx, b"one", 1000, None)
    });
}

const PATH: &str = "/run/test.sock";

fn unix(list: &mut Vec<Entry>) {
    operation!(list, "net::unix::listener::UnixListener::bind", "a free path", 1, |cx, case| {
        let _ = case.subject(cx, UnixListener::bind(cx, PATH)).await;
        let _ = UnixListener::bind(cx, "/run/other.sock").await?;
    });
    operation!(
        list,
        "net::unix::listener::UnixListener::accept",
        "a client comes later",
        1,
        |cx, case| {
            let listener = UnixListener::bind(cx, PATH).await?;
            let mut client = cx.spawn(async |cx: &Cx| {
                cx.sleep(MS).await?;
                let mut answer = [0; 1];
                UnixStream::connect(cx, PATH).await?.read_exact(cx, &mut answer).await?;
                Ok::<_, Error>(answer[0])
            });
            let mut stream = match case.subject(cx, listener.accept(cx)).await {
                Some(Ok(accepted)) => accepted,
                _ => listener.accept(cx).await?,
            };
            stream.write_all(cx, b"!").await?;
            assert_eq!(client.join(cx).await?.into_result()?, b'!');
        }
    );
    operation!(list, "net::unix::stream::UnixStream::connect", "to a listener", 1, |cx, case| {
        let listener = UnixListener::bind(cx, PATH).await?;
        let stream = case.subject(cx, UnixStream::connect(cx, PATH)).await;
        assert!(case.struck() || matches!(stream, Some(Ok(_))));
        drop(stream);
        let _again = UnixStream::connect(cx, PATH).await?;
        listener.accept(cx).await?;
    });
    operation!(list, "net::unix::datagram::UnixDatagram::bind", "a free path", 1, |cx, case| {
        let _ = case.subject(cx, UnixDatagram::bind(cx, PATH)).await;
        let _ = UnixDatagram::bind(cx, "/run/other.sock").await?;
    });
    macro_rules! passes {
        ($name:literal, |$near:ident, $far:ident, $cx:ident, $buf:ident| $run:expr) => {
            operation!(list, $name, "between two sockets", 1, |cx, case| {
                let near = UnixDatagram::bind(cx, PATH).await?;
                let far = UnixDatagram::bind(cx, "/run/other.sock").await?;
                near.connect("/run/other.sock")?;
                far.connect(PATH)?;
                let mut buf = [0; 4];
                {
                    let ($near, $far, $cx, $buf) = (&near, &far, cx, &mut buf);
                    let _ = case.subject(cx, async { Ok::<_, Error>($run) }).await;
                }
                // Both still work.
                near.send(cx, b"last").await?;
                loop {
                    let n = far.recv(cx, &mut buf).await?;
                    if &buf[..n] == b"last" {
                        break;
                    }
                }
            });
        };
    }
    passes!("net::unix::datagram::UnixDatagram::send", |near, far, cx, buf| {
        let _ = (far, buf);
        near.send(cx, b"one").await?
    });
    passes!("net::unix::datagram::UnixDatagram::send_to", |near, far, cx, buf| {
        let _ = (far, buf);
        near.send_to(cx, b"one", "/run/other.sock").await?
    });
    macro_rules! hears {
        ($name:literal, |$far:ident, $cx:ident, $buf:ident| $receive:expr) => {
            operation!(list, $name, "sent later", 1, |cx, case| {
                let near = UnixDatagram::bind(cx, PATH).await?;
                let far = UnixDatagram::bind(cx, "/run/other.sock").await?;
                near.connect("/run/other.sock")?;
                let mut sender = cx.spawn(async move |cx: &Cx| {
                    cx.sleep(MS).await?;
                    near.send(cx, b"one").await?;
                    Ok::<_, Error>(near)
                });
                let mut buf = [0; 4];
                let heard = {
                    let ($far, $cx, $buf) = (&far, cx, &mut buf);
                    case.subject(cx, async { Ok::<_, std::io::Error>($receive) }).await
                };
                let _near = sender.join(cx).await?.into_result()?;
                if !matches!(heard, Some(Ok(3))) {
                    assert!(case.struck());
                    assert_eq!(far.recv(cx, &mut buf).await?, 3, "still there");
                }
                assert_eq!(&buf[..3], b"one");
            });
        };
    }
    hears!("net::unix::datagram::UnixDatagram::recv", |far, cx, buf| far.recv(cx, buf).await?);
    hears!("net::unix::datagram::UnixDatagram::recv_from", |far, cx, buf| {
        far.recv_from(cx, buf).await?.0
    });
}
