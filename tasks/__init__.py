"""The only room that knows Celery and Redis. Redis is a doorbell: flushing it at any moment costs latency only."""
