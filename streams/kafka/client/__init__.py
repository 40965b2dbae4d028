"""Clients of aiokafka with care: started, stopped, read in batches, written in transactions."""
