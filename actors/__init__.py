"""The concurrency runtime: one gevent hub that carries actors, lanes and futures.

It knows neither HTTP nor Backend.AI. From the bottom up:

========================  ===========================================================================================
``hub``                   the event loop of one session: run things on it, from any thread
``waiting``               how a thread or a greenlet waits for the hub without blocking anybody else
``aio``                   how an asyncio loop waits for it
``callbacks``             where users' done-callbacks run
``future``, ``call``      what a caller holds, and what it stands for
``mailbox``, ``turn``     actors without a stack of their own, on pykka's extension seam
``messages``, ``function``  what actors say to each other, and the actor that runs recipes
``lanes``, ``sockets``    greenlets that do the waiting, and cooperative sockets for them
``slots``, ``deadlines``  limits in number and in time
``supervision``           how many crashes are too many
========================  ===========================================================================================
"""
