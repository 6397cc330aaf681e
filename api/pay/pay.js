// Where a link about a payment leads: its principal signs in, chooses a card of theirs, and
// or gives a new one, and goes to their bank's page if the bank wants them. The fragment says
// what is to be paid; the token stays in this page's memory. The card form is Stripe's, in a
// frame of Stripe's: neither this page nor the hub sees a card's number.
const about = location.hash.slice(1) // the id of a booking, or "membership"
const element = (id) => document.getElementById(id)
const say = (text) => { element('said').textContent = text }
let token
let form // Stripe's card form, where there is one

class Refused extends Error {
  constructor(status, problem) {
    super(problem?.detail ?? 'That did not work. Please try again in a moment.')
    this.status = status
    this.code = problem?.code
  }
}

async function ask(method, path, body) {
  const headers = { 'Content-Type': 'application/json' }
  if (token) headers.Authorization = `Bearer ${token}`
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body), credentials: 'omit', cache: 'no-store' })
  const said = await answer.json().catch(() => undefined)
  if (!answer.ok) throw new Refused(answer.status, said)
  return said
}

// when does something once its form is sent, and says what is in its way.
function when(form, act) {
  const button = element(form).querySelector('button')
  button.disabled = false
  element(form).addEventListener('submit', async (event) => {
    event.preventDefault()
    button.disabled = true
    say('…')
    try {
      await act(new FormData(element(form)))
    } catch (e) {
      say(e instanceof Refused ? sentence(e.message) : 'There is no connection. Please try again in a moment.')
    }
    button.disabled = false
  })
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1) + (text.endsWith('.') ? '' : '.')

when('sign-in', async (given) => {
  const otp = given.get('otp') || undefined
  try {
    token = (await ask('POST', '/api/auth/login', { email: given.get('email'), password: given.get('password'), otp })).access_token
  } catch (e) {
    if (e.code === 'otp_needed') element('second').hidden = false
    throw e
  }
  const { items } = await ask('GET', '/api/payments/methods')
  form = await cardForm()
  for (const card of items) choice(card.id, `${card.brand} ending in ${card.last4}`, card.preferred)
  if (form) choice('new', 'a new card', items.length === 0)
  element('sign-in').hidden = true
  element('pay').hidden = !form && items.length === 0
  say(form || items.length ? '' : 'No card of yours is kept. Please give one in the app.')
})

// choice adds a card to those that may be chosen.
function choice(value, text, checked) {
  const label = document.createElement('label'), input = document.createElement('input')
  Object.assign(input, { type: 'radio', name: 'card', value, required: true })
  label.append(input, ` ${text}`)
  element('cards').append(label)
  if (checked) choose(input)
}

// choose chooses a card; of a new one the form is there from then on.
function choose(input) {
  input.checked = true
  const fresh = input.value === 'new'
  if (fresh) form.show()
  element('new-card').hidden = !fresh
}

element('cards').addEventListener('change', (event) => choose(event.target))

// cardForm is Stripe's card form, if the hub has one and its script comes.
async function cardForm() {
  const { publishable_key: key, script } = await ask('GET', '/api/payments/config')
  if (!script) return undefined
  const there = await new Promise((came) => {
    const tag = document.createElement('script')
    Object.assign(tag, { src: script, onload: () => came(true), onerror: () => came(false) })
    document.head.append(tag)
  })
  if (!there || !window.Stripe) return undefined
  const stripe = window.Stripe(key), card = stripe.elements().create('card')
  let shown = false, secret
  return {
    show() { // a form that is mounted where nobody sees it has no size
      if (!shown) card.mount('#new-card')
      shown = true
    },
    // keep has Stripe keep the card that was given, once the bank agrees.
    async keep() {
      secret ??= (await ask('POST', '/api/payments/methods')).client_secret
      const { error } = await stripe.confirmCardSetup(secret, { payment_method: { card } })
      if (error) throw new Refused(402, { detail: error.message })
      secret = undefined
      card.clear()
    },
  }
}

// newCard has the card be kept that was given, and returns its id.
async function newCard() {
  const known = new Set([...element('cards').querySelectorAll('input')].map((input) => input.value))
  await form.keep()
  const { items } = await ask('GET', '/api/payments/methods')
  const card = items.find((c) => !known.has(c.id))
  if (!card) throw new Refused(404)
  choice(card.id, `${card.brand} ending in ${card.last4}`, true)
  return card.id
}

when('pay', async (given) => {
  const chosen = given.get('card')
  const made = await pay(chosen === 'new' ? await newCard() : chosen)
  if (!made) {
    say('There is nothing to pay.')
    return
  }
  const next = made.next_action
  if (next?.url) {
    say('Your bank wants to hear from you…')
    location.assign(next.url)
    return
  }
  if (next) {
    say(`By this card it is not paid. Please choose another one, or give ${form ? 'a new one' : 'one in the app'}.`)
    return
  }
  element('pay').hidden = true
  say(made.status === 'processing' ? 'Your bank takes its time. The app shows when it is done.' : 'Thank you. It is seen to.')
})

// pay has what is due be held, or paid, by a card: an assignment's amount, else what is owed
// for it; or a membership. undefined: nothing is.
async function pay(card) {
  if (about === 'membership') return ask('POST', '/api/users/membership', { payment_method_id: card })
  try {
    return await ask('POST', '/api/payments/reserve', { booking_id: about, payment_method_id: card })
  } catch (e) {
    if (e.status !== 409) throw e // 409: it is over
  }
  const { items } = await ask('GET', '/api/payments/debts?open=true')
  const debt = items.find((d) => d.booking_id === about)
  return debt && ask('POST', `/api/payments/debts/${debt.id}/pay`, { payment_method_id: card })
}
