package stripe

import "time"

// effect is what time will do.
type effect struct {
	at time.Time
	do func()
}

func (s *Server) at(at time.Time, do func()) {
	s.later = append(s.later, effect{at: at, do: do})
}

// foresee notes what time will do to an object, as it stands: nothing else does, so
// that it can be foreseen anew of one that was read back.
func (s *Server) foresee(noun Noun) {
	switch o := noun.(type) {
	case *Intent:
		ch, ok := s.index[string(o.LatestCharge)].(*Charge)
		if !ok || o.Status != "requires_capture" {
			return
		}
		s.at(unix(int64(ch.PaymentMethodDetails.Card.CaptureBefore)), func() {
			if o.Status == "requires_capture" {
				s.cancel(o, "automatic")
			}
		})
	case *Refund:
		if ch, ok := s.index[string(o.Charge)].(*Charge); ok && ch.magic.Refund != "" {
			s.at(unix(o.Created).Add(refundLag), func() { s.settle(o, ch.magic.Refund == "succeeded") })
		}
	case *BalanceTransaction:
		if o.Status == "pending" {
			s.at(unix(o.AvailableOn), func() { o.Status = "available" })
		}
	case *Invoice:
		if sub, ok := s.index[string(o.Subscription)].(*Subscription); ok && o.NextPaymentAttempt != 0 {
			s.at(unix(int64(o.NextPaymentAttempt)), func() { s.tryAgain(sub, o) })
		}
	case *Subscription:
		s.foreseePeriod(o)
	}
}

// foreseePeriod notes how the period of a subscription ends.
func (s *Server) foreseePeriod(sub *Subscription) {
	switch end := sub.CurrentPeriodEnd; {
	case sub.over():
	case sub.Status == "incomplete":
		s.at(unix(sub.Created).Add(incompleteFor), func() {
			if sub.Status != "incomplete" {
				return
			}
			if invoice, ok := s.index[string(sub.LatestInvoice)].(*Invoice); ok {
				s.void(invoice)
			}
			s.end(sub, "incomplete_expired")
		})
		fallthrough
	default:
		if warning := unix(end).Add(-trialWarning); sub.Status == "trialing" && !sub.warned {
			s.at(warning, func() {
				if sub.Status == "trialing" && !sub.warned {
					sub.warned = true
					s.emit("customer.subscription.trial_will_end", sub)
				}
			})
		}
		s.at(unix(end), func() {
			if sub.CurrentPeriodEnd == end && !sub.over() && sub.Status != "incomplete" {
				s.renew(sub)
			}
		})
	}
}

func unix(seconds int64) time.Time { return time.Unix(seconds, 0) }

// elapse does what time has done since the last look, in order, each at its time.
func (s *Server) elapse() {
	now := s.clock.Now()
	for {
		next := -1
		for i, e := range s.later {
			if !e.at.After(now) && (next < 0 || e.at.Before(s.later[next].at)) {
				next = i
			}
		}
		if next < 0 {
			break
		}
		e := s.later[next]
		s.later = append(s.later[:next:next], s.later[next+1:]...)
		if e.at.After(s.moment) { // a short trial's warning is due at once
			s.moment = e.at
		}
		s.changes++
		e.do()
	}
	s.moment = now
	for key, kept := range s.keys {
		if !kept.flying && now.Sub(kept.at) >= keysKept {
			delete(s.keys, key)
		}
	}
}
