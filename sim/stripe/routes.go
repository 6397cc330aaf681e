package stripe

import "slices"

// What routes take beside their own parameters.
const (
	paging  = " limit:int starting_after ending_before created"
	confirm = " payment_method off_session return_url error_on_requires_action=true|false mandate mandate_data payment_method_options" +
		" payment_method_types setup_future_usage=on_session|off_session use_stripe_sdk=true|false client_secret receipt_email"
	intent = " customer description statement_descriptor statement_descriptor_suffix transfer_group automatic_payment_methods capture_method=automatic|automatic_async|manual"
)

// routes are the part of the API that there is.
func routes() []route {
	return slices.Concat(customerRoutes(), intentRoutes(), chargeRoutes(), connectRoutes(), billingRoutes(), eventRoutes())
}

// customerRoutes: who pays, and what with.
func customerRoutes() []route {
	return []route{
		{"POST /v1/customers", false, "email name phone description payment_method invoice_settings address preferred_locales", createCustomer},
		{"GET /v1/customers", false, "email" + paging, listOf(func(c *call, o *Customer) bool { return c.fits("email", string(o.Email)) })},
		{"GET /v1/customers/{id}", false, "", get[Customer]},
		{"POST /v1/customers/{id}", false, "email name phone description invoice_settings address preferred_locales", updateCustomer},
		{"DELETE /v1/customers/{id}", false, "", deleteCustomer},
		{"GET /v1/customers/{id}/payment_methods", false, "type" + paging, listOf(func(c *call, o *Method) bool { return string(o.Customer) == c.id })},

		{"POST /v1/payment_methods", true, "type!=card card billing_details allow_redisplay", createMethod},
		{"GET /v1/payment_methods", false, "customer! type" + paging, listOf(func(c *call, o *Method) bool { return string(o.Customer) == c.str("customer") })},
		{"GET /v1/payment_methods/{id}", false, "", get[Method]},
		{"POST /v1/payment_methods/{id}", false, "billing_details card", updateMethod},
		{"POST /v1/payment_methods/{id}/attach", false, "customer!", attachMethod},
		{"POST /v1/payment_methods/{id}/detach", false, "", detachMethod},
	}
}

// intentRoutes: money that is asked for.
func intentRoutes() []route {
	return []route{
		{"POST /v1/setup_intents", false, "customer description usage=on_session|off_session confirm=true|false automatic_payment_methods" + confirm, createSetup},
		{"GET /v1/setup_intents", false, "customer payment_method" + paging, listOf(func(c *call, o *SetupIntent) bool { return c.fits("customer", string(o.Customer)) })},
		{"GET /v1/setup_intents/{id}", true, "client_secret", getSetup},
		{"POST /v1/setup_intents/{id}/confirm", true, confirm, confirmSetup},
		{"POST /v1/setup_intents/{id}/cancel", false, "cancellation_reason=abandoned|requested_by_customer|duplicate", cancelSetup},

		{"POST /v1/payment_intents", false, "amount!:int currency! confirm=true|false confirmation_method=automatic|manual" + intent + confirm, createIntent},
		{"GET /v1/payment_intents", false, "customer" + paging, listOf(func(c *call, o *Intent) bool { return c.fits("customer", string(o.Customer)) })},
		{"GET /v1/payment_intents/{id}", true, "client_secret", getIntent},
		{"POST /v1/payment_intents/{id}", false, "amount:int currency payment_method setup_future_usage=on_session|off_session receipt_email" + intent, updateIntent},
		{"POST /v1/payment_intents/{id}/confirm", true, confirm, confirmIntent},
		{"POST /v1/payment_intents/{id}/capture", false, "amount_to_capture:int statement_descriptor statement_descriptor_suffix transfer_data", captureIntent},
		{"POST /v1/payment_intents/{id}/cancel", false, "cancellation_reason=duplicate|fraudulent|requested_by_customer|abandoned", cancelIntent},
	}
}

// chargeRoutes: money that has come, goes back, or is contested.
func chargeRoutes() []route {
	return []route{
		{"GET /v1/charges", false, "customer payment_intent transfer_group" + paging, listOf(func(c *call, o *Charge) bool {
			return c.fits("customer", string(o.Customer)) && c.fits("payment_intent", string(o.PaymentIntent)) && c.fits("transfer_group", string(o.TransferGroup))
		})},
		{"GET /v1/charges/{id}", false, "", get[Charge]},
		{"POST /v1/refunds", false, "charge payment_intent amount:int reason=duplicate|fraudulent|requested_by_customer", createRefund},
		{"GET /v1/refunds", false, "charge payment_intent" + paging, listOf(func(c *call, o *Refund) bool {
			return c.fits("charge", string(o.Charge)) && c.fits("payment_intent", string(o.PaymentIntent))
		})},
		{"GET /v1/refunds/{id}", false, "", get[Refund]},
		{"GET /v1/disputes", false, "charge payment_intent" + paging, listOf(func(c *call, o *Dispute) bool {
			return c.fits("charge", string(o.Charge)) && c.fits("payment_intent", string(o.PaymentIntent))
		})},
		{"GET /v1/disputes/{id}", false, "", get[Dispute]},
		{"POST /v1/disputes/{id}", false, "evidence submit=true|false", updateDispute},
		{"POST /v1/disputes/{id}/close", false, "", closeDispute},
		{"GET /v1/balance", false, "", getBalance},
		{"GET /v1/balance_transactions", false, "type source currency payout" + paging, listOf(func(c *call, o *BalanceTransaction) bool {
			return c.fits("type", o.Type) && c.fits("source", string(o.Source)) && c.fits("currency", o.Currency)
		})},
		{"GET /v1/balance_transactions/{id}", false, "", get[BalanceTransaction]},
	}
}

// connectRoutes: money that is passed on.
func connectRoutes() []route {
	return []route{
		{"POST /v1/accounts", false, "type=custom|express|standard country email capabilities business_type business_profile controller", createAccount},
		{"GET /v1/accounts/{id}", false, "", get[Account]},
		{"DELETE /v1/accounts/{id}", false, "", deleteAccount},
		{"POST /v1/account_links", false, "account! refresh_url! return_url! type!=account_onboarding|account_update collection_options", createLink},
		{"POST /v1/transfers", false, "amount!:int currency! destination! source_transaction transfer_group description", createTransfer},
		{"GET /v1/transfers", false, "destination transfer_group" + paging, listOf(func(c *call, o *Transfer) bool {
			return c.fits("destination", o.Destination) && c.fits("transfer_group", string(o.TransferGroup))
		})},
		{"GET /v1/transfers/{id}", false, "", get[Transfer]},
		{"POST /v1/transfers/{id}/reversals", false, "amount:int description refund_application_fee", reverseTransfer},
		{"GET /v1/transfers/{id}/reversals", false, paging, listOf(func(c *call, o *Reversal) bool { return o.Transfer == c.id })},
	}
}

// billingRoutes: what is paid by the period.
func billingRoutes() []route {
	return []route{
		{"POST /v1/products", false, "name! id description active=true|false default_price_data", createProduct},
		{"GET /v1/products", false, "active ids" + paging, listOf(func(c *call, o *Product) bool { return c.among("ids", o.ID) })},
		{"GET /v1/products/{id}", false, "", get[Product]},
		{"POST /v1/prices", false, "currency! unit_amount!:int product product_data recurring lookup_key nickname tax_behavior=inclusive|exclusive|unspecified active=true|false", createPrice},
		{"GET /v1/prices", false, "product lookup_keys active type currency" + paging, listOf(func(c *call, o *Price) bool {
			return c.fits("product", o.Product) && c.among("lookup_keys", string(o.LookupKey))
		})},
		{"GET /v1/prices/{id}", false, "", get[Price]},
		{"POST /v1/subscriptions", false, "customer! items! trial_period_days:int trial_end default_payment_method off_session payment_settings cancel_at_period_end=true|false" +
			" payment_behavior=allow_incomplete|default_incomplete|error_if_incomplete|pending_if_incomplete collection_method description currency trial_settings", createSubscription},
		{"GET /v1/subscriptions", false, "customer price status" + paging, listOf(listsSubscription)},
		{"GET /v1/subscriptions/{id}", false, "", get[Subscription]},
		{"POST /v1/subscriptions/{id}", false, "default_payment_method cancel_at_period_end=true|false cancel_at trial_end payment_behavior proration_behavior items description off_session", updateSubscription},
		{"DELETE /v1/subscriptions/{id}", false, "invoice_now=true|false prorate=true|false cancellation_details", cancelSubscription},
		{"GET /v1/invoices", false, "customer subscription status" + paging, listOf(func(c *call, o *Invoice) bool {
			return c.fits("customer", o.Customer) && c.fits("subscription", string(o.Subscription)) && c.fits("status", o.Status)
		})},
		{"GET /v1/invoices/{id}", false, "", get[Invoice]},
		{"POST /v1/invoices/{id}/pay", false, "payment_method off_session paid_out_of_band", payInvoice},
		{"POST /v1/invoices/{id}/void", false, "", voidInvoice},
	}
}

// eventRoutes: who is told.
func eventRoutes() []route {
	return []route{
		{"POST /v1/webhook_endpoints", false, "url! enabled_events! api_version description connect=true|false", createEndpoint},
		{"GET /v1/webhook_endpoints", false, paging, listOf(func(*call, *Endpoint) bool { return true })},
		{"GET /v1/webhook_endpoints/{id}", false, "", get[Endpoint]},
		{"POST /v1/webhook_endpoints/{id}", false, "url enabled_events description disabled=true|false", updateEndpoint},
		{"DELETE /v1/webhook_endpoints/{id}", false, "", deleteEndpoint},
		{"GET /v1/events", false, "type types ids delivery_success" + paging, listOf(func(c *call, o *Event) bool { return c.fits("type", o.Type) && c.among("types", o.Type) })},
		{"GET /v1/events/{id}", false, "", get[Event]},
	}
}

// fits reports whether a filter was not sent or is what the object has.
func (c *call) fits(param, has string) bool { return !c.has(param) || c.str(param) == has }

func (c *call) among(param, has string) bool {
	values := c.list(param)
	for _, v := range values {
		if v == has {
			return true
		}
	}
	return len(values) == 0
}

func get[T any](c *call) (any, error) { return find[T](c.Server, c.id, "id") }

// gone is what is left of an object that was deleted.
type gone struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Deleted bool   `json:"deleted"`
}

// page is a part of a list, the newest first.
type list struct {
	Object  string `json:"object"`
	URL     string `json:"url"`
	HasMore bool   `json:"has_more"`
	Data    []any  `json:"data"`
}

// listOf lists the objects that keep keeps, by Stripe's paging.
func listOf[T any](keep func(*call, *T) bool) func(*call) (any, error) {
	return func(c *call) (any, error) {
		if after := c.or("starting_after", c.str("ending_before")); after != "" {
			if _, err := find[T](c.Server, after, "starting_after"); err != nil {
				return nil, err
			}
		}
		limit := 10
		if c.has("limit") {
			if limit = int(c.num("limit")); limit < 1 || limit > 100 {
				return nil, invalid("parameter_invalid_integer", "limit", "Invalid limit: must be between 1 and 100")
			}
		}
		var all []any
		for _, one := range every(c.Server, func(one *T) bool { return keep(c, one) && c.inTime(any(one).(Noun).head().Created) }) {
			all = append([]any{one}, all...)
		}
		first, last := 0, len(all)
		for i, one := range all {
			switch one.(Noun).head().ID {
			case c.str("starting_after"):
				first = i + 1
			case c.str("ending_before"):
				last = i
			}
		}
		if c.has("ending_before") {
			first = max(first, last-limit)
		}
		shown := all[min(first, last):last]
		more := len(shown) > limit
		return list{Object: "list", URL: "/v1", HasMore: more, Data: append([]any{}, shown[:min(limit, len(shown))]...)}, nil
	}
}

func (c *call) inTime(created int64) bool {
	return c.fitsTime("created", created == c.num("created")) &&
		c.fitsTime("created[gt]", created > c.num("created[gt]")) && c.fitsTime("created[gte]", created >= c.num("created[gte]")) &&
		c.fitsTime("created[lt]", created < c.num("created[lt]")) && c.fitsTime("created[lte]", created <= c.num("created[lte]"))
}

func (c *call) fitsTime(param string, holds bool) bool { return c.str(param) == "" || holds }
