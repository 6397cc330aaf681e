// A map without tiles: the way that the officers have come, to scale and north up.
// Tiles would have to be fetched from somebody, who would learn where the principal is.

const metresPerDegree = 111_195
const leastSpan = 400 // metres across, however near the officers are
const trail = 300 // positions that are kept of each officer

export class TripMap {
  constructor(canvas) {
    this.canvas = canvas
    this.ways = new Map() // by seat: positions, the newest last
    this.zoom = 1
    new ResizeObserver(() => this.draw()).observe(canvas)
  }

  // add takes a position of the stream. An older one than is known stands where it
  // belongs in the way, since what was held up comes late.
  add(p) {
    const way = this.ways.get(p.seat) ?? []
    this.ways.set(p.seat, way)
    const at = Date.parse(p.time)
    if (way.some((q) => q.at === at)) return
    way.push({ ...p, at })
    way.sort((a, b) => a.at - b.at)
    way.splice(0, Math.max(0, way.length - trail))
    this.draw()
  }

  // keep forgets officers who are not of the trip any more.
  keep(seats) {
    for (const seat of this.ways.keys()) if (!seats.includes(seat)) this.ways.delete(seat)
    this.draw()
  }

  nearer(factor) {
    this.zoom = Math.min(16, Math.max(1 / 16, this.zoom * factor))
    this.draw()
  }

  // frame is the ground that is shown: its middle and how many metres a pixel is.
  frame(width, height) {
    const all = [...this.ways.values()].flat()
    const lats = all.map((p) => p.lat), lons = all.map((p) => p.lon)
    const [south, north] = [Math.min(...lats), Math.max(...lats)]
    const [west, east] = [Math.min(...lons), Math.max(...lons)]
    const lat = (south + north) / 2, lon = (west + east) / 2
    const wide = metresPerDegree * Math.cos((lat * Math.PI) / 180)
    const scale = Math.max((1.35 * (east - west) * wide) / width, (1.35 * (north - south) * metresPerDegree) / height, leastSpan / Math.min(width, height))
    const metres = scale / this.zoom
    // Nearer than everything, the newest position of the lead is the middle.
    const lead = this.zoom > 1 ? all.filter((p) => p.lead).at(-1) : undefined
    const middle = lead ?? { lat, lon }
    return {
      metres,
      x: (p) => width / 2 + ((p.lon - middle.lon) * wide) / metres,
      y: (p) => height / 2 - ((p.lat - middle.lat) * metresPerDegree) / metres,
    }
  }

  draw() {
    const ratio = window.devicePixelRatio || 1
    const { clientWidth: width, clientHeight: height } = this.canvas
    if (!width || !height) return
    this.canvas.width = width * ratio
    this.canvas.height = height * ratio
    const g = this.canvas.getContext('2d')
    g.scale(ratio, ratio)
    g.fillStyle = '#0f1722'
    g.fillRect(0, 0, width, height)
    if (this.ways.size === 0) return
    const frame = this.frame(width, height)
    const step = roundLength(frame.metres * 90)
    drawGrid(g, width, height, step / frame.metres)
    for (const way of this.ways.values()) drawWay(g, frame, way)
    drawScale(g, height, step, step / frame.metres)
  }
}

// roundLength is the round length (1, 2 or 5 times a power of ten) next above.
function roundLength(metres) {
  const power = 10 ** Math.floor(Math.log10(metres))
  return power * [1, 2, 5, 10].find((n) => n * power >= metres)
}

function drawGrid(g, width, height, gap) {
  g.strokeStyle = '#1b2839'
  g.lineWidth = 1
  g.beginPath()
  for (let x = (width / 2) % gap; x < width; x += gap) { g.moveTo(x, 0); g.lineTo(x, height) }
  for (let y = (height / 2) % gap; y < height; y += gap) { g.moveTo(0, y); g.lineTo(width, y) }
  g.stroke()
}

function drawWay(g, frame, way) {
  const now = way.at(-1), x = frame.x(now), y = frame.y(now)
  g.strokeStyle = now.lead ? '#e3b95b' : '#6ea8fe'
  g.lineWidth = 3
  g.lineJoin = 'round'
  g.globalAlpha = 0.55
  g.beginPath()
  for (const p of way) g.lineTo(frame.x(p), frame.y(p))
  g.stroke()
  g.globalAlpha = 0.15
  g.fillStyle = g.strokeStyle
  g.beginPath()
  g.arc(x, y, Math.min(200, (now.accuracy_m ?? 0) / frame.metres), 0, 2 * Math.PI)
  g.fill()
  g.globalAlpha = 1
  g.beginPath()
  g.arc(x, y, 9, 0, 2 * Math.PI)
  g.fill()
  g.strokeStyle = '#ffffff'
  g.stroke()
  g.font = '600 14px system-ui, sans-serif'
  g.fillStyle = '#e8eef6'
  g.fillText(now.lead ? 'Lead officer' : `Officer ${now.seat}`, Math.min(x + 14, g.canvas.clientWidth - 96), y + 5)
}

function drawScale(g, height, metres, long) {
  const text = metres >= 1000 ? `${metres / 1000} km` : `${metres} m`
  g.strokeStyle = g.fillStyle = '#9fb0c6'
  g.lineWidth = 2
  g.beginPath()
  g.moveTo(14, height - 24); g.lineTo(14, height - 18); g.lineTo(14 + long, height - 18); g.lineTo(14 + long, height - 24)
  g.stroke()
  g.font = '13px system-ui, sans-serif'
  g.fillText(`${text} · north is up`, 14, height - 30)
}
