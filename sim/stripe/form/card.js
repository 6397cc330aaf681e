// The frame into which a card is typed: it gives it to the API, and tells the page that
// embeds it what came of it.
addEventListener('message', async ({ data: { key, secret }, ports: [page] }) => {
  const given = new FormData(document.forms[0])
  const api = async (path, fields, method = 'POST') => {
    const form = new URLSearchParams({ key, ...fields })
    const answer = await (method === 'GET' ? fetch(`${path}?${form}`) : fetch(path, { method, body: form }))
    return answer.json()
  }
  const intent = `/v1/setup_intents/${secret.split('_secret_')[0]}`
  let made = await api('/v1/payment_methods', {
    type: 'card', 'card[number]': given.get('number'), 'card[exp_month]': given.get('month'), 'card[exp_year]': given.get('year'), 'card[cvc]': given.get('cvc'),
  })
  if (!made.error) made = await api(`${intent}/confirm`, { client_secret: secret, payment_method: made.id })
  if (made.status === 'requires_action') {
    page.postMessage({ page: made.next_action.use_stripe_sdk.stripe_js })
    while (made.status === 'requires_action') {
      await new Promise((again) => setTimeout(again, 200))
      made = await api(intent, { client_secret: secret }, 'GET')
    }
  }
  const error = made.error ?? made.last_setup_error
  page.postMessage(error ? { error } : { setupIntent: made })
})
