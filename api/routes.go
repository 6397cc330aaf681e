package api

import (
	"encoding/json"
	"fmt"
)

// addRoutes adds what has a name in a path before what takes any id there, such
// as /api/users/profile before /api/users/{id}: Fiber takes the first that fits.
func (s *Server) addRoutes() error {
	s.addPeople()
	s.addTelemetry()
	s.addAssignments()
	s.addOperations()
	s.mountPages()
	document, err := json.Marshal(s.huma.OpenAPI())
	if err != nil {
		return fmt.Errorf("write the OpenAPI document: %w", err)
	}
	s.mountDocs(document)
	return nil
}

// addPeople: who people are, and what they may have done about themselves.
func (s *Server) addPeople() {
	s.addHealth()
	s.addKeySet()
	s.addSignIn()
	s.addSessions()
	s.addPasswords()
	s.addTOTP()
	s.addOIDC()
	s.addPartners()
	s.addContacts()
	s.addProfile()
	s.addQuestionnaire()
	s.addConsents()
	s.addAddresses()
	s.addPushTokens()
	s.addEmergencyContacts()
	s.addInbox()
	s.addMembership()
	s.addRetention()
	s.addExports()
	s.addErasure()
	s.addUsers()
	s.addViewers()
}

// addTelemetry: devices, what they tell, and who watches.
func (s *Server) addTelemetry() {
	s.addTickets()
	s.addTracking()
	s.addShares()
	s.addApprovals()
	s.addAudit()
	s.addHolds()
	s.addDevices()
	s.addCredentials()
	s.addCommands()
	s.addReports()
	s.addPosition()
	s.addPoints()
}

// addAssignments: what is booked, paid for and carried out.
func (s *Server) addAssignments() {
	s.addTariff()
	s.addQuotes()
	s.addPayments()
	s.addWebhook()
	s.addReconciliation()
	s.addBookings()
	s.addInvoices()
	s.addEarnings()
	s.addPayouts()
	s.addOrganisations()
	s.addSeries()
	s.addOfficers()
	s.addReviews()
	s.addNearby()
	s.addPlaces()
	s.addAssign()
	s.addOffers()
	s.addDriverSelf()
	s.addDrivers()
	s.addDriverLocation()
	s.addTrips()
	s.addTripCommands()
	s.addChat()
}

// addOperations: what ops and compliance look after.
func (s *Server) addOperations() {
	s.addAlerts()
	s.addSOSRota()
	s.addSOS()
	s.addSOSOps()
	s.addVehicles()
	s.addDocuments()
	s.addEnrolment()
	s.addBindings()
	s.addOwnTracks()
	s.addFences()
	s.addDeadLetters()
	s.addFiles()
	s.addNotices()
}

// mountPages: what is no operation of the document.
func (s *Server) mountPages() {
	s.mountIngest()
	s.mountConsole()
	s.mountWatch()
	s.mountPay()
}
