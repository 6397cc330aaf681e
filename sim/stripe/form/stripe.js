// Stands in for https://js.stripe.com/v3/: as much of it as a page needs that keeps a card.
// As there, the card is typed into a frame of another origin, and the page that embeds it
// learns what came of it alone.
(() => {
  const origin = new URL(document.currentScript.src).origin

  // framed is a frame of ours in a page.
  function framed(source, at) {
    const frame = document.createElement('iframe')
    Object.assign(frame, { src: source, title: 'Card form' })
    Object.assign(frame.style, { width: '100%', height: '14rem', border: 0 })
    at.replaceChildren(frame)
    return frame
  }

  window.Stripe = (key) => {
    let form
    const card = {
      mount: (at) => { form = framed(`${origin}/v3/card`, typeof at === 'string' ? document.querySelector(at) : at) },
      clear: () => { form.src = form.src },
    }
    return {
      elements: () => ({ create: () => card }),
      confirmCardSetup: (secret) => new Promise((resolve) => {
        const { port1, port2 } = new MessageChannel()
        const bank = document.createElement('div')
        port1.onmessage = ({ data }) => {
          if (data.page) {
            document.body.append(bank)
            framed(data.page, bank).title = 'Your bank'
            return
          }
          bank.remove()
          resolve(data)
        }
        form.contentWindow.postMessage({ key, secret }, origin, [port2])
      }),
    }
  }
})()
