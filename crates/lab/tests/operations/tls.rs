//! Handshakes over a pipe in memory.

use crate::probe::{Entry, operation};
use asupersync_core::{Cx, Error};
use asupersync_io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use asupersync_tls::{Clock, Identity, Roots, SelfSigned, TlsAcceptor, TlsConnector};
use std::sync::LazyLock;
use std::time::Duration;

const NAME: &str = "server.test";

static MADE: LazyLock<SelfSigned> =
    LazyLock::new(|| Identity::self_signed([NAME]).expect("a name"));

/// The beginning of virtual time: the year 2030.
fn clock() -> Clock {
    Clock::host(Duration::from_secs(60 * 365 * 86_400))
}

fn acceptor() -> TlsAcceptor {
    let builder = TlsAcceptor::builder(MADE.identity.clone()).clock(clock()).early_data(100);
    builder.build().expect("good settings")
}

fn connector() -> TlsConnector {
    let roots = Roots::from_pem(&MADE.certificate).expect("a certificate");
    let builder = TlsConnector::builder(roots).clock(clock()).early_data(true);
    builder.build().expect("good settings")
}

async fn serve(cx: &Cx, tls: &TlsAcceptor, stream: DuplexStream) -> Result<(), Error> {
    let mut stream = tls.accept(cx, stream).await?;
    stream.write_all(cx, b"!").await?;
    Ok(stream.close(cx).await?)
}

async fn ask(cx: &Cx, tls: &TlsConnector, stream: DuplexStream) -> Result<(), Error> {
    let mut stream = tls.connect(cx, NAME, stream).await?;
    let mut answer = Vec::new();
    stream.read_to_end(cx, &mut answer, 10).await?;
    assert_eq!(answer, b"!");
    Ok(())
}

/// Both ends at once; what one of them says.
async fn whole(cx: &Cx, client: TlsConnector, server: TlsAcceptor) -> Result<(), Error> {
    let (near, far) = duplex(1 << 16);
    let mut serving = cx.spawn(async move |cx: &Cx| serve(cx, &server, far).await);
    ask(cx, &client, near).await?;
    serving.join(cx).await?.into_result()?;
    Ok(())
}

pub(crate) fn list() -> Vec<Entry> {
    let mut list = Vec::new();
    operation!(
        list,
        "tls::connector::TlsConnector::connect",
        "with a server at work",
        2,
        |cx, case| {
            let (client, server) = (connector(), acceptor());
            let (near, far) = duplex(300);
            let serving = server.clone();
            let mut other = cx.spawn(async move |cx: &Cx| Ok(serve(cx, &serving, far).await));
            let connected = case.subject(cx, client.connect(cx, NAME, near)).await;
            if let Some(Ok(mut stream)) = connected {
                let mut answer = [0; 1];
                stream.read_exact(cx, &mut answer).await?;
                assert_eq!(&answer, b"!");
                drop(stream);
            } else {
                assert!(case.struck());
            }
            // It ends, well or with an error of its own.
            let _: Result<(), Error> = other.join(cx).await?.into_result()?;
            whole(cx, client, server).await?;
        }
    );
    operation!(
        list,
        "tls::connector::TlsConnector::connect_with_early_data",
        "with a server that knows the client",
        2,
        |cx, case| {
            let (client, server) = (connector(), acceptor());
            whole(cx, client.clone(), server.clone()).await?;
            let (near, far) = duplex(300);
            let serving = server.clone();
            let mut other = cx.spawn(async move |cx: &Cx| {
                let heard = async {
                    let mut stream = serving.accept(cx, far).await?;
                    let mut question = [0; 1];
                    stream.read_exact(cx, &mut question).await?;
                    stream.write_all(cx, b"!").await?;
                    stream.close(cx).await?;
                    Ok::<_, std::io::Error>(question[0])
                };
                Ok::<_, Error>(heard.await)
            });
            let asking = client.connect_with_early_data(cx, NAME, near, b"?");
            let answered = match case.subject(cx, asking).await {
                Some(Ok(mut stream)) => {
                    assert_eq!(stream.early_bytes(), 1);
                    let mut answer = Vec::new();
                    stream.read_to_end(cx, &mut answer, 10).await?;
                    assert_eq!(answer, b"!");
                    true
                }
                _ => false,
            };
            // Interrupted, the question may have gone.
            let heard = other.join(cx).await?.into_result()?;
            assert!(if answered { matches!(heard, Ok(b'?')) } else { case.struck() }, "{heard:?}");
        }
    );
    operation!(list, "tls::acceptor::TlsAcceptor::accept", "of a client at work", 2, |cx, case| {
        let (client, server) = (connector(), acceptor());
        let (near, far) = duplex(300);
        let asking = client.clone();
        let mut other = cx.spawn(async move |cx: &Cx| Ok(ask(cx, &asking, near).await));
        let accepted = case.subject(cx, server.accept(cx, far)).await;
        if let Some(Ok(mut stream)) = accepted {
            stream.write_all(cx, b"!").await?;
            stream.close(cx).await?;
            other.join(cx).await?.into_result()??;
        } else {
            assert!(case.struck());
            let answer: Result<(), Error> = other.join(cx).await?.into_result()?;
            assert!(answer.is_err());
        }
        whole(cx, client, server).await?;
    });
    list
}
