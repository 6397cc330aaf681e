// Shows one trip to who holds its link. The link's token is in the fragment, which
// goes nowhere but into the request that exchanges it; it stays in this page's memory.
import { TripMap } from '/watch/map.js'

const words = {
  scheduled: 'Booked', searching: 'Finding a protection officer', offered: 'Finding a protection officer',
  assigned: 'Protection officer assigned', en_route: 'Protection officer on the way', arrived: 'Protection officer has arrived',
  in_progress: 'Under protection', completed: 'The assignment is complete', cancelled: 'The assignment was cancelled',
  no_show: 'The assignment has ended', unfulfilled: 'The assignment has ended',
}
const over = { trip_over: 'This assignment has ended.', share_over: 'This link has ended.' }

const element = (id) => document.getElementById(id)
const say = (id, text) => { if (element(id).textContent !== text) element(id).textContent = text }
const map = new TripMap(element('map'))
element('nearer').addEventListener('click', () => map.nearer(2))
element('farther').addEventListener('click', () => map.nearer(1 / 2))

let token = location.hash.slice(1)
let last = -1 // seq of what was told last
let arrival // of the lead, as told last
let officers = 0 // as told last
let seen = false // somebody is on the map

class Over extends Error {}

// exchange gives a token for watching.
async function exchange() {
  const answer = await fetch('/api/shares/exchange', {
    method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ token }), credentials: 'omit', signal: AbortSignal.timeout(patience),
  })
  if (answer.status === 401 || answer.status === 422) throw new Over('This link shows nothing, or not any more.')
  if (!answer.ok) throw new Error(`exchange: ${answer.status}`)
  return answer.json()
}

// patience is how long, in milliseconds, the hub may be silent that says something every
// twelve seconds: then the connection is dead, which a phone that has changed its network
// is told by nobody.
const patience = 30_000

// follow reads the trip's events until the stream ends.
async function follow({ access_token, trip_id }) {
  const connection = new AbortController()
  let silence
  const heard = () => {
    clearTimeout(silence)
    silence = setTimeout(() => connection.abort(), patience)
  }
  heard()
  try {
    await read(access_token, trip_id, connection.signal, heard)
  } finally {
    clearTimeout(silence)
  }
}

async function read(access_token, trip_id, signal, heard) {
  const answer = await fetch(`/api/tracking/${trip_id}/events?since=${last}`, {
    headers: { Authorization: `Bearer ${access_token}` }, credentials: 'omit', cache: 'no-store', signal,
  })
  if (answer.status === 404) throw new Over(over.share_over)
  if (!answer.ok) throw new Error(`events: ${answer.status}`)
  say('note', '')
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader()
  for (let text = ''; ;) {
    const { value, done } = await reader.read()
    if (done) return
    heard()
    text += value
    const blocks = text.split('\n\n')
    text = blocks.pop()
    for (const block of blocks) take(block)
  }
}

// take takes one event.
function take(block) {
  const data = block.split('\n').find((line) => line.startsWith('data: '))
  if (!data) return // a sign of life
  const told = JSON.parse(data.slice(6))
  if (told.reason) {
    if (over[told.reason]) throw new Over(over[told.reason])
    return
  }
  if (told.seq) last = Math.max(last, told.seq)
  switch (told.type) {
    case 'snapshot':
      say('status', words[told.status] ?? told.status)
      officers = told.officers.length
      seen = told.positions.length > 0
      map.keep(told.officers.map((o) => o.seat))
      told.positions.forEach((p) => map.add(p))
      arrival = told.eta
      break
    case 'state':
      if (told.to) say('status', words[told.to] ?? told.to)
      if (told.kind === 'reached_destination') say('status', 'At the destination')
      if (told.to) arrival = undefined
      break
    case 'position':
      seen = true
      map.add(told)
      break
    case 'eta':
      arrival = told
  }
  showOfficers()
  showArrival()
}

function showOfficers() {
  const who = officers === 0 ? 'No protection officer yet' : officers === 1 ? '1 protection officer' : `${officers} protection officers`
  say('officers', officers === 0 || seen ? who : `${who} · on the map from when they set out`)
}

function showArrival() {
  if (!arrival) return say('eta', '')
  const at = new Date(arrival.arrives_at).toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })
  const where = arrival.place === 'pickup' ? 'With the principal' : 'At the destination'
  say('eta', `${where} at about ${at} · ${(arrival.distance_m / 1000).toFixed(1)} km left`)
}

const rest = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000) })

async function run() {
  if (!token) throw new Over('This link is not whole: open it again as it was sent.')
  for (let wait = 1; ; wait = Math.min(30, wait * 2)) {
    try {
      await follow(await exchange())
      wait = 1
    } catch (error) {
      if (error instanceof Over) throw error
      say('note', 'The connection was lost. Trying again…')
    }
    await rest(wait)
  }
}

run().catch((error) => {
  say('note', error.message)
  say('eta', '')
  if (element('status').textContent.endsWith('…')) say('status', 'Nothing to show')
  document.body.dataset.over = 'yes'
})
