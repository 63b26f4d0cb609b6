"""What more than one door needs: functions on a session, without a request."""
