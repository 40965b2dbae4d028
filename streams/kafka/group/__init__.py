"""A worker in its consumer group: Faust's membership and agents, the transport, and the driver of the crew."""
