//! Sockets of the virtual network.

use crate::probe::{Entry, MS, operation};
use asupersync_core::{CancelReason, Cx, Error};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_net::{ListenOptions, TcpListener, TcpStream};

const SERVER: &str = "10.0.0.9:80";
const CLIENT: &str = "10.0.0.1";

pub(crate) fn list() -> Vec<Entry> {
    let mut list = Vec::new();
    listening(&mut list);
    connecting(&mut list);
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
    connects!("net::tcp::stream::TcpStream::connect", |cx| TcpStream::connect(cx, SERVER));
    connects!("net::tcp::stream::TcpStream::connect_from", |cx| TcpStream::connect_from(
        cx,
        CLIENT.parse().expect("an address"),
        SERVER
    ));
}
