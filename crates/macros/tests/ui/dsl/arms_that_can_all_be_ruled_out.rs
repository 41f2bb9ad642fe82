use asupersync::prelude::*;

async fn first(cx: &Cx, rx: &mut mpsc::Receiver<u32>) -> Result<u32, Error> {
    let n = select! {
        Ok(n) = rx.recv(cx) => n,
    }?;
    Ok(n)
}

fn main() {}
